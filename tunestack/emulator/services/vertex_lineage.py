"""Vertex AI: what joins artifacts, executions and contexts, and the questions about it (aiplatform.v1, v1beta1)."""

from __future__ import annotations

from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import invalid
from tunestack.emulator.services.metadata_store import (
    ARTIFACTS,
    CHILD,
    CONTEXTS,
    EVENT,
    EXECUTIONS,
    MEMBER,
    add_child,
    add_event,
    join_context,
    keep_of,
    lineage,
    node_of,
    store_of,
    subgraph,
)
from tunestack.emulator.services.vertex import check_labels, named_row

Json = dict[str, Any]

_STORES = "aiplatform.projects.locations.metadataStores"


@implements(f"{_STORES}.contexts.addContextArtifactsAndExecutions")
def add_context_artifacts_and_executions(call: Call) -> Json:
    context = named_row(call, "context")["name"]
    store = store_of(context)
    for kind in (ARTIFACTS, EXECUTIONS):
        names = [node_of(call.state, name, kind, store)["name"] for name in call.body.get(kind, [])]
        join_context(call.state, context, names)
    return {}


@implements(f"{_STORES}.contexts.addContextChildren")
def add_context_children(call: Call) -> Json:
    context = named_row(call, "context")["name"]
    for name in call.body.get("childContexts", []):
        add_child(call.state, context, node_of(call.state, name, CONTEXTS, store_of(context))["name"])
    return {}


@implements(f"{_STORES}.contexts.removeContextChildren")
def remove_context_children(call: Call) -> Json:
    """Those that are none are skipped."""
    context = named_row(call, "context")["name"]
    for name in call.body.get("childContexts", []):
        call.state.edges.remove(CHILD, context, call.state.projects.canonical(name))
    return {}


@implements(f"{_STORES}.contexts.queryContextLineageSubgraph")
def query_context_lineage_subgraph(call: Call) -> Json:
    """What was added to the context itself, and the events between; not what its children have."""
    context = named_row(call, "context")["name"]
    members = call.state.edges.targets(MEMBER, context)
    artifacts = [name for name in members if name.split("/")[-2] == ARTIFACTS]
    executions = [name for name in members if name.split("/")[-2] == EXECUTIONS]
    inside = set(artifacts)
    events = [
        event
        for name in executions
        for event in call.state.edges.bodies(EVENT, source=name)
        if event["artifact"] in inside
    ]
    return subgraph(call.state, artifacts, executions, events)


@implements(f"{_STORES}.executions.addExecutionEvents")
def add_execution_events(call: Call) -> Json:
    execution = named_row(call, "execution")["name"]
    for index, event in enumerate(call.body.get("events", [])):
        if event["type"] == "TYPE_UNSPECIFIED":
            raise invalid(f"events[{index}].type is unspecified.", [(f"events[{index}].type", "")])
        check_labels(event.get("labels", {}))
        artifact = node_of(call.state, event["artifact"], ARTIFACTS, store_of(execution))["name"]
        add_event(call.state, execution, artifact, event["type"], event.get("labels"))
    return {}


@implements(f"{_STORES}.executions.queryExecutionInputsAndOutputs")
def query_execution_inputs_and_outputs(call: Call) -> Json:
    execution = named_row(call, "execution")["name"]
    events = call.state.edges.bodies(EVENT, source=execution)
    return subgraph(call.state, [event["artifact"] for event in events], [execution], events)


@implements(f"{_STORES}.artifacts.queryArtifactLineageSubgraph")
def query_artifact_lineage_subgraph(call: Call) -> Json:
    artifact = named_row(call, "artifact")["name"]
    hops = call.query.get("maxHops")
    if hops is not None and hops < 0:
        raise invalid(f"max_hops is {hops}; it must not be negative.", [("max_hops", str(hops))])
    return lineage(call.state, artifact, hops, keep_of(call.state, call.query.get("filter", ""), ARTIFACTS))
