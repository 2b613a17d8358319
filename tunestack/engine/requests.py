"""What a program's registrations say, between the wire and the engine: goals of them, and answers to them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tunestack.engine.callbacks import hook_names
from tunestack.engine.errors import EngineError, EngineRefused, ResourceError
from tunestack.engine.goals import Alias, Goal
from tunestack.engine.protocol import resource_pb2
from tunestack.engine.registration import Registered
from tunestack.engine.urns import is_provider_type
from tunestack.engine.values import from_proto, from_struct, hash_assets, lower_outputs, to_struct

RESULTS = {
    "success": resource_pb2.Result.SUCCESS,
    "fail": resource_pb2.Result.FAIL,
    "skip": resource_pb2.Result.FAIL,  # the protocol has no third word
}
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def parse_duration(text: str) -> float:
    """Seconds in a Go duration such as ``1h30m``.

    Raises:
        EngineError: it is not one.
    """
    if not text:
        return 0.0
    parts = re.findall(r"(\d+(?:\.\d+)?)(h|ms|us|µs|ns|m|s)", text)
    if "".join(number + unit for number, unit in parts) != text:
        raise EngineError(f"unable to parse customTimeout value {text!r}")
    seconds = sum((float(number) * _UNITS[unit] for number, unit in parts), 0.0)
    return int(seconds) if seconds.is_integer() else seconds


def refuse_unimplemented(request: Any) -> None:
    """Refuse by name what a registration may ask for and this engine does not have."""
    what = f"{request.type} '{request.name}'"
    if request.remote:
        raise EngineRefused(f"components of other languages ({what})")
    if request.packageRef:
        raise EngineRefused(f"parameterized packages ({what})")
    if request.state_migrations:
        raise EngineRefused(f"state migrations ({what})")
    if request.envVarMappings:
        raise EngineRefused(f"envVarMappings ({what})")
    if request.hooks.on_error:
        raise EngineRefused(f"error hooks ({what})")


def goal_of(
    request: Any, properties: Any, options: Any, known: dict[str, set[str]], working_directory: Path
) -> Goal:
    """The resource that a registration asks for, its provider as named there: empty for the default one.

    `properties` and `options` are the request's own or what transforms made of them; `known` are the URNs that each
    property depends on; assets lie relative to `working_directory`.

    Raises:
        EngineError: an asset or a duration is not in order.
    """
    inputs: dict[str, Any] = {}
    dependencies, by_property = set(options.depends_on), {}
    raw = hash_assets(from_struct(properties), working_directory)
    for key, value in raw.items():
        gathered: set[str] = set(known.get(key, set()) if known else request.dependencies)
        inputs[key] = lower_outputs(value, gathered)
        by_property[key] = sorted(gathered)
        dependencies |= gathered if known else set()
    for key in known.keys() - by_property.keys():
        by_property[key] = sorted(known[key])
    goal = Goal(
        type=request.type,
        name=request.name,
        custom=request.custom,
        inputs=inputs,
        parent=request.parent,
        protect=options.protect if options.HasField("protect") else None,
        dependencies=_in_order(dependencies, request.dependencies),
        property_dependencies=by_property,
        delete_before_replace=(
            options.delete_before_replace if options.HasField("delete_before_replace") else None
        ),
        ignore_changes=list(options.ignore_changes),
        additional_secret_outputs=list(options.additional_secret_outputs),
        aliases=[_alias(alias) for alias in options.aliases],
        import_id=getattr(options, "import"),
        custom_timeouts={
            key: seconds
            for key in ("create", "update", "delete", "read")
            if (seconds := parse_duration(getattr(options.custom_timeouts, key)))
        },
        replace_on_changes=list(options.replace_on_changes),
        replacement_trigger=(
            lower_outputs(from_proto(options.replacement_trigger), set())
            if options.HasField("replacement_trigger")
            else None
        ),
        retain_on_delete=options.retain_on_delete if options.HasField("retain_on_delete") else None,
        deleted_with=options.deleted_with,
        replace_with=list(options.replace_with),
        hide_diff=list(options.hide_diff),
        hooks=hook_names(options.hooks),
    )
    if is_provider_type(goal.type):
        if options.version:
            goal.inputs["version"] = options.version
        if options.plugin_download_url:
            goal.inputs["__internal"] = {"pluginDownloadURL": options.plugin_download_url}
    elif goal.custom:
        goal.provider = options.provider
    return goal


def options_of(request: Any) -> Any:
    """A registration's options in the form in which transforms take and give them."""
    options = resource_pb2.TransformResourceOptions(
        depends_on=list(request.dependencies),
        ignore_changes=list(request.ignoreChanges),
        replace_on_changes=list(request.replaceOnChanges),
        version=request.version,
        aliases=[*request.aliases],
        provider=request.provider,
        custom_timeouts=request.customTimeouts,
        plugin_download_url=request.pluginDownloadURL,
        deleted_with=request.deletedWith,
        replace_with=list(request.replace_with),
        additional_secret_outputs=list(request.additionalSecretOutputs),
        providers=dict(request.providers),
        hooks=request.hooks,
        hide_diff=list(request.hideDiffs),
        **{"import": request.importId},
    )
    for urn in request.aliasURNs:
        options.aliases.add(urn=urn)
    if request.HasField("protect"):
        options.protect = request.protect
    if request.HasField("retainOnDelete"):
        options.retain_on_delete = request.retainOnDelete
    if request.HasField("replacement_trigger"):
        options.replacement_trigger.CopyFrom(request.replacement_trigger)
    if request.deleteBeforeReplaceDefined or request.deleteBeforeReplace:
        options.delete_before_replace = request.deleteBeforeReplace
    return options


def _alias(alias: Any) -> Alias:
    if alias.WhichOneof("alias") == "urn":
        return Alias(urn=alias.urn)
    spec = alias.spec
    return Alias(
        name=spec.name,
        type=spec.type,
        stack=spec.stack,
        project=spec.project,
        parent=spec.parentUrn,
        no_parent=spec.noParent,
    )


def _in_order(urns: set[str], given: Any) -> list[str]:
    """The URNs in the order the program gave them, then the others."""
    first = [urn for urn in given if urn in urns]
    return list(dict.fromkeys([*first, *sorted(urns)]))


def response_of(registered: Registered, request: Any) -> Any:
    """What the program is told of its registration.

    Raises:
        ResourceError: it failed, and this program's SDK cannot be told so.
    """
    response = resource_pb2.RegisterResourceResponse(
        urn=registered.urn,
        id=registered.id,
        object=to_struct(
            registered.outputs, keep_secrets=request.acceptSecrets, keep_references=request.acceptResources
        ),
        stables=registered.stables,
        unknown=registered.unknown,
    )
    if request.supportsResultReporting:
        response.result = RESULTS[registered.result]
    elif registered.result != "success":
        raise ResourceError(f"{registered.urn} failed")
    return response
