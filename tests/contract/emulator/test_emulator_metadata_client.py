"""ML Metadata with Google's own client: what is kept, found by filters, joined, and asked for as lineage."""

from __future__ import annotations

import uuid

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1
from google.cloud.aiplatform_v1 import types

PARENT = "projects/p22/locations/us-central1"


@pytest.fixture(scope="module")
def metadata(emulator):
    return emulator.google(aiplatform_v1.MetadataServiceClient)


@pytest.fixture(scope="module")
def store(metadata):
    operation = metadata.create_metadata_store(
        parent=PARENT, metadata_store=types.MetadataStore(description="mine"), metadata_store_id="default"
    )
    return operation.result().name


@pytest.fixture
def graph(metadata, store):
    """raw → compile → data → train → model, the first two executions in two contexts."""
    tag = uuid.uuid4().hex[:8]
    artifacts = {
        name: metadata.create_artifact(
            parent=store,
            artifact=types.Artifact(
                display_name=f"{name} {tag}", uri=f"gs://{tag}/{name}", schema_title="system.Artifact"
            ),
        ).name
        for name in ("raw", "data", "model")
    }
    executions = {}
    for name, used, made in (("compile", "raw", "data"), ("train", "data", "model")):
        executions[name] = metadata.create_execution(
            parent=store,
            execution=types.Execution(
                display_name=name, metadata={"steps": 40, "kind": "x"}, state=types.Execution.State.RUNNING
            ),
        ).name
        metadata.add_execution_events(
            execution=executions[name],
            events=[
                types.Event(artifact=artifacts[used], type_=types.Event.Type.INPUT),
                types.Event(artifact=artifacts[made], type_=types.Event.Type.OUTPUT, labels={"a": "b"}),
            ],
        )
    contexts = {
        name: metadata.create_context(
            parent=store, context=types.Context(display_name=name), context_id=f"{name}-{tag}"
        ).name
        for name in ("pipeline", "run-1", "run-2")
    }
    return {**artifacts, **executions, **contexts}


def test_lineage_is_followed_in_both_directions_as_far_as_asked(metadata, graph):
    def names(hops=None):
        request = {"artifact": graph["data"]} | ({} if hops is None else {"max_hops": hops})
        found = metadata.query_artifact_lineage_subgraph(request=request)
        return {row.name for row in (*found.artifacts, *found.executions)}, len(found.events)

    everything = {graph[name] for name in ("raw", "compile", "data", "train", "model")}
    assert names() == (everything, 4)
    assert names(1) == ({graph["compile"], graph["data"], graph["train"]}, 2)
    request = {"artifact": graph["data"], "filter": f'uri="gs://x" OR in_context("{graph["run-1"]}")'}
    found = metadata.query_artifact_lineage_subgraph(request=request)
    assert {row.name for row in found.artifacts} == {graph["data"]}
    with pytest.raises(exceptions.BadRequest, match="must not be negative"):
        names(-1)


def test_an_executions_inputs_and_outputs_are_told_with_its_events(metadata, graph):
    found = metadata.query_execution_inputs_and_outputs(execution=graph["train"])
    assert [row.name for row in found.executions] == [graph["train"]]
    assert found.executions[0].metadata["steps"] == 40
    kinds = {event.artifact: event.type_.name for event in found.events}
    assert kinds == {graph["data"]: "INPUT", graph["model"]: "OUTPUT"}
    assert all(event.execution == graph["train"] and event.event_time for event in found.events)


def test_an_event_between_the_same_two_is_kept_once(metadata, graph):
    again = types.Event(artifact=graph["data"], type_=types.Event.Type.OUTPUT)
    metadata.add_execution_events(execution=graph["train"], events=[again])
    found = metadata.query_execution_inputs_and_outputs(execution=graph["train"])
    assert [event.type_.name for event in found.events if event.artifact == graph["data"]] == ["INPUT"]


def test_a_context_answers_with_its_own_members_and_the_events_between_them(metadata, store, graph):
    metadata.add_context_artifacts_and_executions(
        context=graph["run-1"], artifacts=[graph["raw"], graph["data"]], executions=[graph["compile"]]
    )
    metadata.add_context_artifacts_and_executions(context=graph["run-1"], executions=[graph["compile"]])
    found = metadata.query_context_lineage_subgraph(context=graph["run-1"])
    assert (len(found.artifacts), len(found.events)) == (2, 2)
    assert [row.name for row in found.executions] == [graph["compile"]]
    inside = f'in_context("{graph["run-1"]}")'
    request = {"parent": store, "filter": f'{inside} AND display_name:"data"'}
    assert [row.name for row in metadata.list_artifacts(request=request)] == [graph["data"]]
    request = {"parent": store, "filter": f"{inside} AND metadata.steps.number_value=40"}
    assert [row.name for row in metadata.list_executions(request=request)] == [graph["compile"]]


def test_contexts_have_children_but_no_circles(metadata, store, graph):
    runs = [graph["run-1"], graph["run-2"]]
    metadata.add_context_children(context=graph["pipeline"], child_contexts=runs)
    assert list(metadata.get_context(name=runs[0]).parent_contexts) == [graph["pipeline"]]
    request = {"parent": store, "filter": f'parent_contexts:"{graph["pipeline"]}"'}
    assert {row.name for row in metadata.list_contexts(request=request)} == set(runs)
    request = {"parent": store, "filter": f'child_contexts:"{runs[0]}"'}
    assert [row.name for row in metadata.list_contexts(request=request)] == [graph["pipeline"]]
    with pytest.raises(exceptions.BadRequest, match="cycle"):
        metadata.add_context_children(context=runs[0], child_contexts=[graph["pipeline"]])
    metadata.remove_context_children(context=graph["pipeline"], child_contexts=runs)
    assert not metadata.get_context(name=runs[0]).parent_contexts


def test_what_is_deleted_leaves_the_lineage(metadata, graph):
    metadata.delete_execution(name=graph["train"]).result()
    found = metadata.query_artifact_lineage_subgraph(artifact=graph["data"])
    assert {row.name for row in found.artifacts} == {graph["data"], graph["raw"]}
    with pytest.raises(exceptions.NotFound):
        metadata.get_execution(name=graph["train"])
    current = metadata.get_artifact(name=graph["raw"]).etag
    with pytest.raises(exceptions.BadRequest, match="etag"):
        metadata.delete_artifact(request={"name": graph["raw"], "etag": current + "x"})


def test_a_purge_without_force_only_tells(metadata, store):
    tag = uuid.uuid4().hex
    for _ in range(2):
        metadata.create_artifact(parent=store, artifact=types.Artifact(uri=f"gs://{tag}"))
    request = {"parent": store, "filter": f'uri="gs://{tag}"'}
    told = metadata.purge_artifacts(request=request).result()
    assert (told.purge_count, len(told.purge_sample)) == (2, 2)
    done = metadata.purge_artifacts(request={**request, "force": True}).result()
    assert (done.purge_count, len(done.purge_sample)) == (2, 0)
    assert not list(metadata.list_artifacts(request=request))


def test_nodes_are_changed_as_sent_and_made_where_missing_is_allowed(metadata, store):
    name = f"{store}/executions/made-by-patch"
    row = types.Execution(name=name, display_name="x", state=types.Execution.State.NEW)
    with pytest.raises(exceptions.NotFound):
        metadata.update_execution(execution=row)
    metadata.update_execution(request={"execution": row, "allow_missing": True})
    row.state = types.Execution.State.COMPLETE
    row.display_name = ""
    changed = metadata.update_execution(execution=row)
    assert (changed.display_name, changed.state.name) == ("x", "COMPLETE")
    with pytest.raises(exceptions.Conflict):
        metadata.create_execution(parent=store, execution=row, execution_id="made-by-patch")


def test_a_schema_of_ones_own_is_registered_before_it_is_used(metadata, store):
    row = types.Artifact(schema_title="mine.Adapter", schema_version="1.0.0")
    with pytest.raises(exceptions.BadRequest, match=r"No metadata schema mine.Adapter"):
        metadata.create_artifact(parent=store, artifact=row)
    schema = types.MetadataSchema(
        schema="title: mine.Adapter\ntype: object\n", schema_version="1.0.0", schema_type="ARTIFACT_TYPE"
    )
    made = metadata.create_metadata_schema(parent=store, metadata_schema=schema)
    assert metadata.create_artifact(parent=store, artifact=row).schema_title == "mine.Adapter"
    assert made.name in {row.name for row in metadata.list_metadata_schemas(parent=store)}
    with pytest.raises(exceptions.Conflict):
        metadata.create_metadata_schema(parent=store, metadata_schema=schema)


def test_a_store_goes_with_all_that_lies_in_it(metadata):
    store = metadata.create_metadata_store(
        parent=PARENT, metadata_store=types.MetadataStore(), metadata_store_id="another"
    ).result()
    context = metadata.create_context(parent=store.name, context=types.Context())
    metadata.delete_metadata_store(name=store.name).result()
    with pytest.raises(exceptions.NotFound):
        metadata.get_context(name=context.name)
    with pytest.raises(exceptions.NotFound):
        metadata.create_context(parent=store.name, context=types.Context())
