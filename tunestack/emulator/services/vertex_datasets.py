"""Vertex AI: managed datasets and their versions (aiplatform.v1, v1beta1). What lies in them: vertex_data_items."""

from __future__ import annotations

from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import invalid
from tunestack.emulator.services.metadata_store import ARTIFACTS, default_store, forget_node, put_node
from tunestack.emulator.services.vertex import (
    check_labels,
    finished_operation,
    list_rows,
    listed,
    location_of,
    named_row,
    patched_row,
    remove_tree,
    with_etag,
)
from tunestack.emulator.state import State

Json = dict[str, Any]

DATASETS = "datasets"
VERSIONS = "datasetVersions"
DATA_ITEMS = "dataItems"

_DATASETS = "aiplatform.projects.locations.datasets"
_VERSIONS = f"{_DATASETS}.{VERSIONS}"
_NAME_AT_MOST = 128
_VERSIONED = ("metadata", "modelReference")


@implements(f"{_DATASETS}.create")
def create(call: Call) -> Json:
    """Vertex notes it as an artifact in the default metadata store."""
    state, body, parent = call.state, call.body, call.parent()
    _check(body)
    if len(body.get("savedQueries", [])) > 1:
        raise invalid("Up to one SavedQuery can be set in CreateDatasetRequest.", [("saved_queries", "")])
    name, now = f"{parent}/{DATASETS}/{state.new_id()}", state.now()
    artifact = put_node(
        state,
        default_store(state, parent),
        ARTIFACTS,
        str(state.new_id()),
        {
            "displayName": body["displayName"],
            "schemaTitle": "google.VertexDataset",
            "schemaVersion": "0.0.1",
            "uri": f"https://{location_of(name)}-aiplatform.googleapis.com/v1/{name}",
            "metadata": {"resourceName": name},
            "state": "LIVE",
        },
    )
    row = {**body, "name": name, "createTime": now, "updateTime": now, "metadataArtifact": artifact}
    state.rows.create(DATASETS, parent, name, with_etag(row))
    return finished_operation(call, name, "CreateDataset", shown_dataset(state, row), "Dataset")


@implements(f"{_DATASETS}.get")
def get(call: Call) -> Json:
    return shown_dataset(call.state, named_row(call))


@implements(f"{_DATASETS}.list")
def list_datasets(call: Call) -> Json:
    rows = call.state.rows.list(DATASETS, call.parent(), newest_first=True)
    return listed(call, [shown_dataset(call.state, row) for row in rows], DATASETS)


@implements(f"{_DATASETS}.patch")
def patch(call: Call) -> Json:
    """Of a dataset only its names and labels change (UpdateDatasetRequest.update_mask)."""
    immutable = ("encryptionSpec", "metadata", "metadataSchemaUri", "savedQueries")
    return shown_dataset(call.state, patched_row(call, immutable=immutable))


@implements(f"{_DATASETS}.delete")
def delete(call: Call) -> Json:
    row = named_row(call)
    remove_tree(call.state, row["name"])
    forget_node(call.state, row["metadataArtifact"])
    return finished_operation(call, row["name"], "Delete", None)


@implements(f"{_VERSIONS}.create")
def create_version(call: Call) -> Json:
    """The dataset as it is now, under a name."""
    state, dataset = call.state, named_row(call, "parent")
    name, now = f"{dataset['name']}/{VERSIONS}/{state.new_id()}", state.now()
    row = with_etag(
        {
            **{key: value for key, value in call.body.items() if key not in _VERSIONED},
            "name": name,
            "createTime": now,
            "updateTime": now,
            **{key: dataset[key] for key in _VERSIONED if key in dataset},
        }
    )
    state.rows.create(VERSIONS, dataset["name"], name, row)
    return finished_operation(call, name, "CreateDatasetVersion", row, "DatasetVersion")


@implements(f"{_VERSIONS}.get")
def get_version(call: Call) -> Json:
    return named_row(call)


@implements(f"{_VERSIONS}.list")
def list_versions(call: Call) -> Json:
    named_row(call, "parent")
    return list_rows(call, VERSIONS)


@implements(f"{_VERSIONS}.patch")
def patch_version(call: Call) -> Json:
    return patched_row(call, immutable=("metadata", "modelReference", "bigQueryDatasetName"))


@implements(f"{_VERSIONS}.delete")
def delete_version(call: Call) -> Json:
    name = named_row(call)["name"]
    call.state.rows.delete(name)
    return finished_operation(call, name, "Delete", None)


@implements(f"{_VERSIONS}.restore")
def restore(call: Call) -> Json:
    """The dataset as it was then; its data items are not versions' (Google versions prompt datasets alone)."""
    version = named_row(call)
    dataset = call.state.rows.get(version["name"].partition(f"/{VERSIONS}/")[0])
    kept = {key: value for key, value in dataset.items() if key not in _VERSIONED}
    changed = {
        **kept,
        **{key: version[key] for key in _VERSIONED if key in version},
        "updateTime": call.state.now(),
    }
    call.state.rows.put(dataset["name"], with_etag(changed))
    return finished_operation(call, version["name"], "RestoreDatasetVersion", version, "DatasetVersion")


def shown_dataset(state: State, row: Json) -> Json:
    count = len(state.rows.list(DATA_ITEMS, row["name"]))
    return with_etag({**row, "dataItemCount": str(count)} if count else row)


def _check(body: Json) -> None:
    check_labels(body.get("labels", {}))
    if len(body["displayName"]) > _NAME_AT_MOST:
        raise invalid(
            f"display_name has more than {_NAME_AT_MOST} characters.", [("display_name", "too long")]
        )
    uri = body["metadataSchemaUri"]
    if not uri.startswith("gs://") or not uri.endswith(".yaml"):
        raise invalid(
            f"{uri} is no schema: it is a YAML file in Cloud Storage.", [("metadata_schema_uri", uri)]
        )
