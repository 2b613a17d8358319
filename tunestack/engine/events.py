"""What happened, in the CLI's own words: engine events (``pulumi up --json``) and preview steps.

Shapes are Pulumi's ``apitype.EngineEvent`` and ``display.PreviewDigest``; one language for the display,
``--json`` and tests.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tunestack.engine.answers import PropertyDiff
from tunestack.engine.state import Resource
from tunestack.engine.urns import ROOT_STACK_TYPE, is_provider_type, name_of
from tunestack.engine.values import redacted, redacted_signed

Event = dict[str, Any]


@dataclass
class Step:
    """One operation on one resource. `logical` ones are what a person asked for; they are counted."""

    op: str
    old: Resource | None = None
    new: Resource | None = None
    keys: tuple[str, ...] = ()
    diffs: tuple[str, ...] = ()
    detailed: Mapping[str, PropertyDiff] | None = None
    logical: bool = True

    @property
    def resource(self) -> Resource:
        resource = self.new or self.old
        if resource is None:  # pragma: no cover - a step is always about a resource
            raise ValueError("a step without a resource")
        return resource

    @property
    def internal(self) -> bool:
        """Default providers come and go without being shown."""
        return is_default_provider(self.resource) or self.op == "remove-pending-replace"


def is_default_provider(resource: Resource) -> bool:
    if not is_provider_type(resource.type):
        return False
    name = name_of(resource.urn)
    return name == "default" or name.startswith("default_")


class Reporter:
    """Numbers and emits events, counts operations, and keeps what the end result is made of."""

    def __init__(
        self, emit: Callable[[Event], None], preview: bool, clock: Callable[[], float] = time.time
    ) -> None:
        self._emit = emit
        self._clock = clock
        self._preview = preview
        self._sequence = 0
        self.steps: list[dict[str, Any]] = []
        self._places: dict[str, int] = {}  # urn → its place in steps
        self.diagnostics: list[dict[str, Any]] = []
        self.changes: Counter[str] = Counter()

    def event(self, kind: str, payload: Mapping[str, Any]) -> None:
        self._emit({"sequence": self._sequence, "timestamp": int(self._clock()), kind: payload})
        self._sequence += 1

    # -- diagnostics --

    def diagnostic(
        self,
        severity: str,
        message: str,
        urn: str = "",
        ephemeral: bool = False,
        stream: int = 0,
        prefix: str | None = None,
    ) -> None:
        """A message for people; `severity` is ``debug``, ``info``, ``info#err``, ``warning`` or ``error``."""
        if not message.endswith("\n"):
            message += "\n"
        if prefix is None:
            prefix = f"{severity}: " if severity in ("debug", "warning", "error") else ""
        payload: dict[str, Any] = {"urn": urn, "prefix": prefix, "message": message, "color": "never"}
        payload.update(severity=severity, streamID=stream, ephemeral=ephemeral)
        self.event("diagnosticEvent", {key: value for key, value in payload.items() if value})
        if not ephemeral and severity != "debug":
            entry = {"urn": urn, "message": prefix + message, "severity": severity}
            self.diagnostics.append({key: value for key, value in entry.items() if value})

    def error(self, message: str, urn: str = "") -> None:
        self.diagnostic("error", message, urn)

    def warning(self, message: str, urn: str = "") -> None:
        self.diagnostic("warning", message, urn)

    # -- steps --

    def begin(self, step: Step) -> None:
        """The step is about to be taken."""
        if step.internal:
            return
        self.event("resourcePreEvent", {"metadata": _metadata(step), **self._planning()})
        if _shown(step):
            self._places[step.resource.urn] = len(self.steps)
            self.steps.append(_preview_step(step))

    def done(self, step: Step, result_op: str = "") -> None:
        """The step succeeded; `result_op` is what a refresh came to."""
        if step.internal:
            return
        op = result_op or step.op
        if step.logical or step.op == "refresh":
            self.changes[op] += 1
        # A component's outputs come later, from the program (see `outputs`).
        if step.resource.custom or step.op == "delete" or result_op or self._preview:
            self.event("resOutputsEvent", {"metadata": {**_metadata(step), "op": op}, **self._planning()})
        if result_op == "delete" or (result_op == "update" and step.detailed is not None):
            shown = Step(op, step.old, step.new, step.keys, step.diffs, step.detailed)
            self.steps[self._places[step.resource.urn]] = _preview_step(shown)

    def outputs(self, step: Step) -> None:
        """A component registered its outputs."""
        self.event("resOutputsEvent", {"metadata": _metadata(step), **self._planning()})

    def failed(self, step: Step, partial: bool = False) -> None:
        if not step.internal:
            self.event(
                "resOpFailedEvent", {"metadata": _metadata(step), "status": 1 if partial else 2, "steps": 0}
            )

    # -- beginning and end --

    def prelude(self, configuration: Mapping[str, str]) -> None:
        self.event("preludeEvent", {"config": dict(configuration)})

    def summary(self, duration_seconds: float, succeeded: bool) -> None:
        summary = {
            "maybeCorrupt": False,
            "durationSeconds": int(duration_seconds + 0.5),
            "resourceChanges": dict(sorted(self.changes.items())),
            "PolicyPacks": {},
            "isPreview": self._preview,
            "result": "succeeded" if succeeded else "failed",
        }
        self.event("summaryEvent", summary)
        self.event("cancelEvent", {})

    def _planning(self) -> dict[str, bool]:
        return {"planning": True} if self._preview else {}


def _shown(step: Step) -> bool:
    """Whether the CLI lists the step in ``preview --json``."""
    if step.op == "same":
        changed = step.old is not None and step.new is not None and step.old.protect != step.new.protect
        return changed or step.resource.type == ROOT_STACK_TYPE
    return step.logical or not step.op.endswith(("-replacement", "-replaced"))


def _metadata(step: Step) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "op": step.op,
        "urn": step.resource.urn,
        "type": step.resource.type,
        "old": _state_metadata(step.old),
        "new": _state_metadata(step.new),
    }
    if step.keys:
        metadata["keys"] = list(step.keys)
    if step.diffs:
        metadata["diffs"] = list(step.diffs)
    metadata["detailedDiff"] = _detailed(step, "diffKind")
    if step.logical:
        metadata["logical"] = True
    metadata["provider"] = step.resource.provider
    return metadata


def _state_metadata(resource: Resource | None) -> dict[str, Any] | None:
    if resource is None:
        return None
    metadata: dict[str, Any] = {"type": resource.type, "urn": resource.urn}
    for key, flag in (("custom", resource.custom), ("delete", resource.delete)):
        if flag:
            metadata[key] = True
    metadata.update(id=resource.id, parent=resource.parent)
    flags = {
        "protect": resource.protect,
        "external": resource.external,
        "retainOnDelete": resource.retain_on_delete,
    }
    metadata.update({key: True for key, flag in flags.items() if flag})
    metadata.update(inputs=redacted_signed(resource.inputs), outputs=redacted_signed(resource.outputs))
    metadata["provider"] = resource.provider
    if resource.hide_diff:
        metadata["hideDiffs"] = list(resource.hide_diff)
    if resource.init_errors:
        metadata["initErrors"] = list(resource.init_errors)
    return metadata


def _detailed(step: Step, kind: str = "kind") -> dict[str, Any] | None:
    """The detailed diff; the CLI calls the kind of a difference otherwise in events than in a preview's digest."""
    if step.detailed is None:
        return None
    return {
        path: {kind: difference.kind, "inputDiff": difference.input_diff}
        for path, difference in sorted(step.detailed.items())
    }


def _preview_step(step: Step) -> dict[str, Any]:
    document: dict[str, Any] = {"op": step.op, "urn": step.resource.urn}
    if step.resource.provider:
        document["provider"] = step.resource.provider
    for key, resource in (("oldState", step.old), ("newState", step.new)):
        if resource is not None:
            document[key] = redacted(resource.to_json(lambda _secret: "[secret]"))
    if step.diffs:
        document["diffReasons"] = list(step.diffs)
    if step.keys:
        document["replaceReasons"] = list(step.keys)
    document["detailedDiff"] = _detailed(step)
    return document
