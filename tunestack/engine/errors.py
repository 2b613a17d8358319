"""What the engine says when it will not, or cannot, go on. Every message is for a person."""

from __future__ import annotations


class EngineError(Exception):
    """The operation cannot go on; shown as ``error: …`` without a traceback; exit code 1 as the CLI's."""

    exit_code = 1


class EngineRefused(EngineError):
    """Something Pulumi has and this engine does not, refused by name with what does it instead."""

    def __init__(self, what: str, instead: str = "use the Pulumi CLI") -> None:
        self.what = what
        super().__init__(f"the embedded engine does not implement {what}; {instead}")


class StackLocked(EngineError):
    """Another operation holds the stack's lock."""


class ConfigurationError(EngineError):
    """Pulumi.yaml or Pulumi.<stack>.yaml is not as it must be. Messages are the CLI's own where it has one."""


class StateError(EngineError):
    """The state file cannot be read, decrypted, or is not in order."""


class PluginError(EngineError):
    """A provider plugin was not found, did not start, or broke the protocol."""


class ResourceError(Exception):
    """A resource's registration or step failed; it was already reported as a diagnostic."""


class CheckFailed(ResourceError):
    """The provider found the inputs wrong; every failure was reported."""
