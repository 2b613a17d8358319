"""Pulumi.yaml and Pulumi.<stack>.yaml: what the program is, and the configuration it gets.

Checks and their messages are the CLI's (``pkg/workspace/config.go``, ``sdk/go/common/workspace/project.go``).
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tunestack.engine.errors import ConfigurationError, EngineRefused
from tunestack.engine.secrets import PassphraseSecrets


@dataclass(frozen=True)
class ConfigType:
    """One key's schema in Pulumi.yaml."""

    type: str | None = None
    items: Mapping[str, Any] | None = None
    default: Any = None
    value: Any = None
    secret: bool = False


@dataclass(frozen=True)
class Project:
    """Pulumi.yaml, as far as an engine needs it."""

    directory: Path
    name: str
    main: str
    virtual_environment: Path | None
    stack_config_directory: Path
    config: Mapping[str, ConfigType]
    plugin_paths: Mapping[str, Path] = field(default_factory=dict)  # provider name → folder

    @property
    def program_directory(self) -> Path:
        """The `main` folder: working directory of the program and of every plugin."""
        path = self.directory / self.main
        return path if path.is_dir() else path.parent


@dataclass(frozen=True)
class ConfigValue:
    """A configuration value: text (JSON where it is structured)."""

    text: str
    secret: bool = False
    structured: bool = False


@dataclass(frozen=True)
class StackConfiguration:
    """What ``Pulumi.<stack>.yaml`` and the project's defaults come to; keys are ``namespace:name``."""

    values: Mapping[str, ConfigValue]
    encryption_salt: str | None

    def texts(self) -> dict[str, str]:
        return {key: value.text for key, value in sorted(self.values.items())}

    def secret_keys(self) -> list[str]:
        return sorted(key for key, value in self.values.items() if value.secret)

    def of_package(self, package: str) -> dict[str, ConfigValue]:
        """Configuration of a provider package: the inputs of its default provider."""
        prefix = f"{package}:"
        return {key[len(prefix) :]: value for key, value in self.values.items() if key.startswith(prefix)}


def load_project(directory: Path) -> Project:
    """Read ``Pulumi.yaml``.

    Raises:
        ConfigurationError: missing, not YAML, or not as the CLI wants it.
        EngineRefused: another runtime than python, or something else this engine lacks.
    """
    path = directory / "Pulumi.yaml"
    document = _read_yaml(path, "no Pulumi.yaml project file found")
    name = document.get("name")
    if not name:
        raise ConfigurationError(f"{path}: project is missing a 'name' attribute")
    runtime = document.get("runtime")
    if isinstance(runtime, str):
        runtime = {"name": runtime}
    if not runtime or runtime.get("name") != "python":
        raise EngineRefused(
            f"the runtime {(runtime or {}).get('name')!r} ({path})", "this engine runs Python programs"
        )
    options = runtime.get("options") or {}
    environment = options.get("virtualenv")
    if document.get("packages"):
        raise EngineRefused("`packages:` in Pulumi.yaml", "name the provider under plugins.providers")
    plugins = {}
    for provider in (document.get("plugins") or {}).get("providers") or []:
        folder = directory / str(provider.get("path", ""))
        if not folder.exists():
            raise ConfigurationError(f"{path}: plugin {provider.get('name')}: path {folder} does not exist")
        plugins[str(provider["name"])] = folder.resolve()
    return Project(
        directory=directory,
        name=str(name),
        main=str(document.get("main") or "."),
        virtual_environment=(directory / environment).resolve() if environment else None,
        stack_config_directory=directory / str(document.get("stackConfigDir") or "."),
        config=_project_config(path, str(name), document.get("config") or {}),
        plugin_paths=plugins,
    )


def _read_yaml(path: Path, missing: str) -> dict[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(path.read_text())
    except FileNotFoundError as error:
        raise ConfigurationError(f"{missing}: {path}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"could not parse {path}: {error}") from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigurationError(f"could not parse {path}: a mapping is wanted at the top")
    return document


def _project_config(path: Path, project: str, document: Mapping[str, Any]) -> dict[str, ConfigType]:
    config: dict[str, ConfigType] = {}
    for key, raw in document.items():
        schema = raw if isinstance(raw, dict) else {"value": raw}
        entry = ConfigType(
            type=schema.get("type"),
            items=schema.get("items"),
            default=schema.get("default"),
            value=schema.get("value"),
            secret=bool(schema.get("secret")),
        )
        _validate_schema(path, project, str(key), entry)
        config[str(key)] = entry
    return config


def _validate_schema(path: Path, project: str, key: str, entry: ConfigType) -> None:
    def wrong(message: str) -> ConfigurationError:
        return ConfigurationError(f"{path}: {message}")

    if entry.default is not None and entry.value is not None:
        raise wrong(f"project config '{key}' cannot have both a 'default' and 'value' attribute")
    if ":" in key and not key.startswith(f"{project}:"):
        if entry.type:
            raise wrong(
                f"Configuration key '{key}' is not namespaced by the project and should not define a type"
            )
        if entry.default is not None:
            raise wrong(
                f"Configuration key '{key}' is not namespaced by the project and should not define a default "
                "value. Did you mean to use the 'value' attribute instead of 'default'?"
            )
        if entry.value is None:
            raise wrong(f"Configuration key '{key}' is namespaced and must provide an attribute 'value'")
        return
    if entry.type == "array" and not entry.items:
        raise wrong(
            f"The configuration key '{key}' declares an array but does not specify the underlying type via the "
            "'items' attribute"
        )
    if entry.type and entry.default is not None and not _conforms(entry.type, entry.items, entry.default):
        raise wrong(
            f"The default value specified for configuration key '{key}' is not of the expected type "
            f"'{_type_name(entry.type, entry.items)}'"
        )


def load_stack_configuration(project: Project, stack: str, passphrase: str) -> StackConfiguration:
    """Read ``Pulumi.<stack>.yaml``, fill in the project's defaults and check it against the project's schema.

    Raises:
        ConfigurationError: with the CLI's message, naming stack and key.
    """
    path = project.stack_config_directory / f"Pulumi.{stack}.yaml"
    document = _read_yaml(path, f"no configuration file for stack '{stack}'") if path.exists() else {}
    salt = document.get("encryptionsalt")
    if document.get("secretsprovider") not in (None, "default", "passphrase"):
        raise EngineRefused(f"the secrets provider {document['secretsprovider']!r} ({path})")
    if document.get("environment"):
        raise EngineRefused(f"`environment:` (Pulumi ESC) in {path}")
    secrets = PassphraseSecrets(passphrase, salt) if salt else None
    values: dict[str, ConfigValue] = {}
    for key, raw in (document.get("config") or {}).items():
        full = key if ":" in str(key) else f"{project.name}:{key}"
        values[_normal_key(str(full))] = _stack_value(path, str(full), raw, secrets)
    missing = []
    for key, schema in sorted(project.config.items()):
        full = key if ":" in key else f"{project.name}:{key}"
        if full in values:
            continue
        given = schema.value if schema.value is not None else schema.default
        if given is not None:
            values[full] = _plain_value(given)
        elif full.startswith(f"{project.name}:"):
            missing.append(key)
    if missing:
        word = "values" if len(missing) > 1 else "value"
        raise ConfigurationError(f"Stack '{stack}' is missing configuration {word} {_enumerate(missing)}")
    for key, schema in sorted(project.config.items()):
        full = key if ":" in key else f"{project.name}:{key}"
        if schema.type:
            _validate_value(stack, key, schema, values[full])
    return StackConfiguration(values, salt)


def _normal_key(key: str) -> str:
    """``ns:config:name`` is the long form of ``ns:name``."""
    parts = key.split(":")
    return f"{parts[0]}:{parts[2]}" if len(parts) == 3 and parts[1] == "config" else key


def _validate_value(stack: str, key: str, schema: ConfigType, value: ConfigValue) -> None:
    if schema.secret and not value.secret:
        raise ConfigurationError(
            f"Stack '{stack}' with configuration key '{key}' must be encrypted as it's secret"
        )
    content = json.loads(value.text) if value.structured else value.text
    if not _conforms(str(schema.type), schema.items, content):
        raise ConfigurationError(
            f"Stack '{stack}' with configuration key '{key}' must be of type "
            f"'{_type_name(str(schema.type), schema.items)}'"
        )


def _plain_value(value: Any) -> ConfigValue:
    if isinstance(value, dict | list):
        return ConfigValue(json.dumps(value, separators=(",", ":"), sort_keys=True), structured=True)
    if isinstance(value, bool):
        return ConfigValue("true" if value else "false")
    return ConfigValue("" if value is None else str(value))


def _stack_value(path: Path, key: str, raw: Any, secrets: PassphraseSecrets | None) -> ConfigValue:
    def decrypt(value: Any) -> tuple[Any, bool]:
        if isinstance(value, dict):
            if set(value) == {"secure"} and isinstance(value["secure"], str):
                if secrets is None:
                    raise ConfigurationError(
                        f"{path}: {key} is encrypted, but the file has no encryptionsalt"
                    )
                return secrets.decrypt_text(value["secure"]), True
            pairs = {name: decrypt(item) for name, item in value.items()}
            return {name: item for name, (item, _) in pairs.items()}, any(flag for _, flag in pairs.values())
        if isinstance(value, list):
            decrypted = [decrypt(item) for item in value]
            return [item for item, _ in decrypted], any(flag for _, flag in decrypted)
        return value, False

    plain, secret = decrypt(raw)
    value = _plain_value(plain)
    return ConfigValue(value.text, secret, value.structured)


def _type_name(type_: str, items: Mapping[str, Any] | None) -> str:
    return f"array<{_type_name(str(items['type']), items.get('items'))}>" if items else type_


def _conforms(type_: str, items: Mapping[str, Any] | None, value: Any) -> bool:
    if type_ == "string":
        return isinstance(value, str)
    if type_ == "integer":
        if isinstance(value, str):
            return value.lstrip("+-").isdecimal() and len(value) - len(value.lstrip("+-")) <= 1
        return isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)
    if type_ == "boolean":
        return isinstance(value, bool) or value in ("true", "false")
    if type_ == "object":
        return isinstance(value, dict)
    if not isinstance(value, list) or items is None:
        return False
    return all(_conforms(str(items["type"]), items.get("items"), item) for item in value)


def _enumerate(keys: list[str]) -> str:
    quoted = [f"'{key}'" for key in keys]
    if len(quoted) == 1:
        return quoted[0]
    return f"{', '.join(quoted[:-1])} and {quoted[-1]}"


# -- only stacks that stay on this machine ------------------------------------------------------------------


def refuse_unless_local(stack: str, configuration: StackConfiguration) -> None:
    """Refuse a stack that could reach anything but this machine.

    Every configuration value under a key that ends in ``endpoint`` must be an http address on loopback, and
    there must be at least one: this engine is for local stacks, the Pulumi CLI for all others.

    Raises:
        EngineRefused: naming stack, key and value.
    """
    endpoints = list(_endpoints(configuration))
    if not endpoints:
        raise EngineRefused(
            f"stacks that may reach a cloud: stack '{stack}' names no endpoint on loopback in its configuration"
        )
    for key, value in endpoints:
        if not _is_loopback(value):
            raise EngineRefused(
                f"stacks that may reach a cloud: stack '{stack}' has {key} = {value!r}, which is not http on loopback"
            )


def _endpoints(configuration: StackConfiguration) -> Iterator[tuple[str, Any]]:
    def walk(key: str, value: Any) -> Iterator[tuple[str, Any]]:
        if isinstance(value, dict):
            for name, item in value.items():
                yield from walk(f"{key}.{name}", item)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from walk(f"{key}[{index}]", item) if not _names_endpoint(key) else [(key, item)]
        elif _names_endpoint(key):
            yield key, value

    for key, value in sorted(configuration.values.items()):
        yield from walk(key, json.loads(value.text) if value.structured else value.text)


def _names_endpoint(key: str) -> bool:
    return key.lower().endswith("endpoint")


def _is_loopback(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        address = urlsplit(value)
        host = address.hostname or ""
    except ValueError:
        return False
    if address.scheme != "http" or address.username is not None:
        return False
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
