"""BigQuery: datasets (bigquery.v2)."""

from __future__ import annotations

import re
from typing import Any

from tunestack.emulator.bigquery import billing_export
from tunestack.emulator.bigquery.refusal import refused
from tunestack.emulator.bigquery.tables import (
    DATASETS,
    dataset_name,
    delete_table,
    get_dataset,
    milliseconds,
    project_id,
    reference_of,
    tables_of,
)
from tunestack.emulator.call import Call, Reply, implements
from tunestack.emulator.errors import ApiError
from tunestack.emulator.schema import merge_patch
from tunestack.emulator.services.paging import page
from tunestack.emulator.state import State, etag

Json = dict[str, Any]

_SERVER_OWNED = {
    "creationTime",
    "datasetReference",
    "etag",
    "id",
    "kind",
    "lastModifiedTime",
    "location",
    "selfLink",
    "type",
}
# What Google gives a new dataset (cloud.google.com/bigquery/docs/control-access-to-resources-iam).
_ACCESS = (
    {"role": "WRITER", "specialGroup": "projectWriters"},
    {"role": "OWNER", "specialGroup": "projectOwners"},
    {"role": "READER", "specialGroup": "projectReaders"},
)


@implements("bigquery.datasets.insert")
def insert(call: Call) -> Json:
    return _shown(create_dataset(call.state, project_id(call.state, call.path["projectId"]), call.body))


def create_dataset(state: State, project: str, body: Json) -> Json:
    """Keep a dataset of a project (by id); its row. Raises 400 on its name, 409 where it exists."""
    dataset = body["datasetReference"]["datasetId"]
    if not re.fullmatch(r"\w{1,1024}", dataset, re.ASCII) or dataset.startswith("_"):
        raise refused(
            f'Invalid dataset ID "{dataset}". Dataset IDs must be alphanumeric (plus underscores) and must be at most '
            "1024 characters long.",
            "invalid",
        )
    if state.rows.find(dataset_name(project, dataset)):
        raise ApiError("ALREADY_EXISTS", f"Already Exists: Dataset {project}:{dataset}", reason="duplicate")
    now = str(milliseconds(state))
    row = {
        "access": [*_ACCESS],
        **body,
        "datasetReference": {"projectId": project, "datasetId": dataset},
        "location": body.get("location", "US"),
        "creationTime": now,
        "lastModifiedTime": now,
        "type": "DEFAULT",
    }
    state.rows.create(DATASETS, f"bigquery/{project}", dataset_name(project, dataset), row)
    if dataset == billing_export.DATASET:
        billing_export.ensure_table(state, project)
    return row


@implements("bigquery.datasets.get")
def get(call: Call) -> Json:
    return _shown(_asked(call))


@implements("bigquery.datasets.list")
def list_datasets(call: Call) -> Json:
    """``filter``: ``labels.key`` or ``labels.key:value``, joined by spaces."""
    project = project_id(call.state, call.path["projectId"])
    rows = call.state.rows.list(DATASETS, f"bigquery/{project}")
    for term in call.query.get("filter", "").split():
        found = re.fullmatch(r"labels\.([^:]+)(?::(.*))?", term)
        if found is None:
            raise refused(f"Invalid filter: {term}", "invalid")
        key, value = found.groups()
        rows = [
            row for row in rows if key in row.get("labels", {}) and value in (None, "*", row["labels"][key])
        ]
    named = sorted(
        ({**row, "name": row["datasetReference"]["datasetId"]} for row in rows), key=lambda row: row["name"]
    )
    rows, token = page(named, call.query.get("maxResults"), call.query.get("pageToken"))
    kept = ("kind", "id", "datasetReference", "labels", "friendlyName", "location", "type")
    items = [{key: value for key, value in _shown(row).items() if key in kept} for row in rows]
    body: Json = {"kind": "bigquery#datasetList", "etag": etag({"items": items})}
    if items:
        body["datasets"] = items
    return {**body, "nextPageToken": token} if token else body


@implements("bigquery.datasets.patch")
def patch(call: Call) -> Json:
    return _change(call, lambda row: merge_patch(row, _writable(call.body)))


@implements("bigquery.datasets.update")
def update(call: Call) -> Json:
    def replaced(row: Json) -> Json:
        kept = {key: value for key, value in row.items() if key in _SERVER_OWNED}
        return merge_patch({**kept, "access": row["access"]}, _writable(call.body))

    return _change(call, replaced)


@implements("bigquery.datasets.delete")
def delete(call: Call) -> Reply:
    row = _asked(call)
    reference = row["datasetReference"]
    project, dataset = reference["projectId"], reference["datasetId"]
    tables = tables_of(call.state, project, dataset)
    if tables and not call.query.get("deleteContents"):
        raise ApiError(
            "INVALID_ARGUMENT", f"Dataset {project}:{dataset} is still in use", reason="resourceInUse"
        )
    for table in tables:
        delete_table(call.state, reference_of(table["tableReference"]))
    call.state.rows.delete(dataset_name(project, dataset))
    return Reply(None, 204)


def _asked(call: Call) -> Json:
    row = get_dataset(call.state, project_id(call.state, call.path["projectId"]), call.path["datasetId"])
    check_etag(call, row)
    return row


def check_etag(call: Call, row: Json) -> None:
    """412 where ``If-Match`` is not the row's etag."""
    wanted = call.incoming.headers.get("if-match")
    if wanted and wanted.strip('"') not in ("*", etag(row)):
        raise ApiError("FAILED_PRECONDITION", "Precondition Failed", code=412, reason="conditionNotMet")


def _change(call: Call, change: Any) -> Json:
    row = _asked(call)
    changed = change(row)
    changed["lastModifiedTime"] = str(max(milliseconds(call.state), int(row["lastModifiedTime"]) + 1))
    reference = row["datasetReference"]
    call.state.rows.put(dataset_name(reference["projectId"], reference["datasetId"]), changed)
    return _shown(changed)


def _writable(body: Json) -> Json:
    return {key: value for key, value in body.items() if key not in _SERVER_OWNED}


def _shown(row: Json) -> Json:
    reference = row["datasetReference"]
    project, dataset = reference["projectId"], reference["datasetId"]
    return {
        "kind": "bigquery#dataset",
        "id": f"{project}:{dataset}",
        "selfLink": f"https://bigquery.googleapis.com/bigquery/v2/projects/{project}/datasets/{dataset}",
        "etag": etag({key: value for key, value in row.items() if key != "name"}),
        **{key: value for key, value in row.items() if key != "name"},
    }
