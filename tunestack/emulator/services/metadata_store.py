"""The rows of Vertex ML Metadata and what joins them: artifacts, executions, contexts, events, lineage.

Services and jobs write through this file, so that what a pipeline leaves is what a client would have written.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from typing import Any

from tunestack.emulator import list_filter
from tunestack.emulator.errors import failed_precondition, invalid
from tunestack.emulator.services.vertex import check_identifier, check_labels, with_etag
from tunestack.emulator.state import State

Json = dict[str, Any]

STORES = "metadataStores"
SCHEMAS = "metadataSchemas"
ARTIFACTS, CONTEXTS, EXECUTIONS = "artifacts", "contexts", "executions"
COLLECTIONS = {ARTIFACTS: "metadataArtifacts", CONTEXTS: "metadataContexts", EXECUTIONS: "metadataExecutions"}
"""The last but one part of a node's name -> the collection of its rows."""

EVENT, MEMBER, CHILD = "event", "membership", "child"
"""Kinds of edges: execution -> artifact, context -> artifact or execution, context -> context."""

# Prose of the methods, discovery revision 20261106.
ID = r"[a-z0-9-]{4,128}"
_GRAPH_AT_MOST = 1000
_PARENTS_AT_MOST = 10
_DISPLAY_NAME_AT_MOST = 128
# Registered in every store by Google. Their full list is not published, so the name spaces stand for it.
_BUILT_IN = ("system.", "google.")


def create_store(state: State, name: str, body: Json | None = None) -> Json:
    now = state.now()
    row = {**(body or {}), "name": name, "createTime": now, "updateTime": now}
    return state.rows.create(STORES, name.rpartition(f"/{STORES}/")[0], name, row)


def default_store(state: State, location: str) -> str:
    """The default store of ``projects/…/locations/…``, which a first pipeline run makes."""
    name = f"{location}/{STORES}/default"
    if state.rows.find(name) is None:
        create_store(state, name)
    return name


def store_of(name: str) -> str:
    return "/".join(name.split("/")[:6])


def create_node(state: State, store: str, kind: str, identifier: str, body: Json) -> Json:
    """Keep an artifact, context or execution. Raises 404 without the store, 409 where the id is taken."""
    state.rows.get(store)
    check_node(state, store, body)
    now = state.now()
    name = f"{store}/{kind}/{identifier}"
    row = with_etag({**body, "name": name, "createTime": now, "updateTime": now})
    return state.rows.create(COLLECTIONS[kind], store, name, row)


def put_node(state: State, store: str, kind: str, identifier: str, body: Json) -> str:
    """The same for the emulator's own jobs: done again it changes what is there. The name."""
    name = f"{store}/{kind}/{identifier}"
    row = state.rows.find(name)
    if row is None:
        create_node(state, store, kind, identifier, body)
    else:
        state.rows.put(name, with_etag({**row, **body, "updateTime": state.now()}))
    return name


def check_node(state: State, store: str, body: Json) -> None:
    """Raises 400 on labels, lengths and on a schema that is not registered.

    Google's words for the last are not recorded. Whether it holds ``metadata`` to the schema is not said;
    here it does not.
    """
    check_labels(body.get("labels", {}))
    if len(body.get("displayName", "")) > _DISPLAY_NAME_AT_MOST:
        raise invalid(
            f"display_name has more than {_DISPLAY_NAME_AT_MOST} characters.", [("display_name", "too long")]
        )
    title, version = body.get("schemaTitle", ""), body.get("schemaVersion", "")
    if not title or title.startswith(_BUILT_IN):
        return
    for schema in state.rows.list(SCHEMAS, store):
        if schema["_title"] == title and version in ("", schema.get("schemaVersion", "")):
            return
    raise invalid(
        f"No metadata schema {title} {version} is registered in {store}.", [("schema_title", title)]
    )


def node(state: State, name: str) -> Json:
    """An artifact, execution or context as a caller reads it. Raises 404."""
    row = state.rows.get(state.projects.canonical(name))
    if name.split("/")[-2] == CONTEXTS and (parents := state.edges.sources(CHILD, row["name"])):
        return {**row, "parentContexts": parents}
    return row


def node_of(state: State, name: str, kind: str, store: str) -> Json:
    """The node, which must be of a kind and in a store. Raises 400 and 404."""
    name = state.projects.canonical(name)
    if not name.startswith(f"{store}/{kind}/"):
        raise invalid(f"{name} is none of the {kind} of {store}.", [(kind, name)])
    return node(state, name)


def keep_of(state: State, text: str, kind: str) -> list_filter.Predicate:
    """A filter of nodes, which may ask for contexts: ``in_context("…")``, ``parent_contexts:"…"``."""

    def in_context(name: str) -> list_filter.Predicate:
        members = set(state.edges.targets(MEMBER, name))
        return lambda row: row["name"] in members

    text = re.sub(
        r"projects/([^/\"']+)/", lambda found: f"projects/{state.projects.number(found.group(1))}/", text
    )
    if kind != CONTEXTS:
        return list_filter.parse(text, {"in_context": in_context})
    keep = list_filter.parse(text)
    return lambda row: keep({**row, "childContexts": state.edges.targets(CHILD, row["name"])})


def join_context(state: State, context: str, members: Iterable[str]) -> None:
    for member in members:
        state.edges.add(MEMBER, context, member)


def add_event(state: State, execution: str, artifact: str, kind: str, labels: Json | None = None) -> None:
    """``kind`` is INPUT or OUTPUT. A second event between the two is skipped, as Google does."""
    event = {"artifact": artifact, "execution": execution, "eventTime": state.now(), "type": kind}
    state.edges.add(EVENT, execution, artifact, {**event, "labels": labels} if labels else event)


def add_child(state: State, parent: str, child: str) -> None:
    """Raises 400 where it would make a circle, or an eleventh parent."""
    if parent == child or parent in _descendants(state, child):
        raise invalid(f"{child} as a child of {parent} would make a cycle.", [("child_contexts", child)])
    parents = state.edges.sources(CHILD, child)
    if parent not in parents and len(parents) >= _PARENTS_AT_MOST:
        raise invalid(f"{child} has {len(parents)} parents already.", [("child_contexts", child)])
    state.edges.add(CHILD, parent, child)


def forget_node(state: State, name: str) -> None:
    """Remove a node with its edges."""
    state.rows.delete(name)
    state.edges.forget(name)


def subgraph(state: State, artifacts: Iterable[str], executions: Iterable[str], events: list[Json]) -> Json:
    """A ``LineageSubgraph``. Raises 400 where it has more than a thousand of anything."""
    artifacts, executions = list(artifacts), list(executions)
    if max(len(artifacts), len(executions), len(events)) > _GRAPH_AT_MOST:
        raise failed_precondition(
            f"The lineage has {len(artifacts)} artifacts, {len(executions)} executions and {len(events)} events;"
            f" at most {_GRAPH_AT_MOST} of each are answered."
        )
    return {
        "artifacts": [node(state, name) for name in artifacts],
        "executions": [node(state, name) for name in executions],
        "events": events,
    }


def lineage(state: State, start: str, hops: int | None, keep: list_filter.Predicate) -> Json:
    """What an artifact came from and became, ``hops`` events away from it at most.

    An artifact that ``keep`` leaves out is not followed either. Google does not say what one hop is; here it is
    one event, as in ML Metadata, which Vertex stands on.
    """
    found = {start: 0}
    events: dict[tuple[str, str], Json] = {}
    queue = deque([start])
    while queue:
        name = queue.popleft()
        if hops is not None and found[name] >= hops:
            continue
        forward = name.split("/")[-2] == EXECUTIONS
        for event in state.edges.bodies(EVENT, **{"source" if forward else "target": name}):
            other = event["artifact" if forward else "execution"]
            if forward and other != start and not keep(state.rows.get(other)):
                continue
            events[event["execution"], event["artifact"]] = event
            if other not in found:
                found[other] = found[name] + 1
                queue.append(other)
    artifacts = [name for name in found if name.split("/")[-2] == ARTIFACTS]
    executions = [name for name in found if name.split("/")[-2] == EXECUTIONS]
    return subgraph(state, artifacts, executions, list(events.values()))


def check_id(identifier: str, parameter: str) -> str:
    return check_identifier(identifier, ID, parameter)


def _descendants(state: State, context: str) -> set[str]:
    found: set[str] = set()
    queue = [context]
    while queue:
        for child in state.edges.targets(CHILD, queue.pop()):
            if child not in found:
                found.add(child)
                queue.append(child)
    return found
