"""BigQuery: tables and views (bigquery.v2)."""

from __future__ import annotations

from typing import Any

from tunestack.emulator.bigquery import expiry as expiry  # works by itself once it is imported
from tunestack.emulator.bigquery.model import Reference
from tunestack.emulator.bigquery.queries import view_schema
from tunestack.emulator.bigquery.refusal import refused
from tunestack.emulator.bigquery.tables import (
    checked,
    create_table,
    delete_table,
    get_dataset,
    get_table,
    grown_schema,
    policy_name,
    project_id,
    put_table,
    reference_of,
    shown_table,
    tables_of,
)
from tunestack.emulator.call import Call, Reply, implements
from tunestack.emulator.errors import ApiError
from tunestack.emulator.schema import merge_patch
from tunestack.emulator.services.bigquery_datasets import check_etag
from tunestack.emulator.services.iam_policy import policy_of, replace_policy
from tunestack.emulator.services.paging import page
from tunestack.emulator.state import etag

Json = dict[str, Any]

_SERVER_OWNED = {
    "creationTime",
    "etag",
    "id",
    "kind",
    "lastModifiedTime",
    "location",
    "selfLink",
    "tableReference",
    "type",
}
_NOT_PLAYED = ("externalDataConfiguration", "materializedView", "biglakeConfiguration")


@implements("bigquery.tables.insert")
def insert(call: Call) -> Json:
    for name in _NOT_PLAYED:
        if name in call.body:
            raise ApiError(
                "UNIMPLEMENTED", f"tables with {name} are not implemented by the tunestack emulator"
            )
    project = project_id(call.state, call.path["projectId"])
    reference = {**call.body["tableReference"], "projectId": project, "datasetId": call.path["datasetId"]}
    body = {**call.body, "tableReference": reference}
    if "view" in body:
        get_dataset(call.state, project, call.path["datasetId"])
        body["schema"] = {"fields": view_schema(call.state, project, body["view"])}
    return shown_table(call.state, create_table(call.state, body))


@implements("bigquery.tables.get")
def get(call: Call) -> Json:
    return shown_table(call.state, _asked(call))


@implements("bigquery.tables.list")
def list_tables(call: Call) -> Json:
    project = project_id(call.state, call.path["projectId"])
    get_dataset(call.state, project, call.path["datasetId"])
    rows = tables_of(call.state, project, call.path["datasetId"])
    named = [{**row, "name": row["tableReference"]["tableId"]} for row in rows]
    chosen, token = page(named, call.query.get("maxResults"), call.query.get("pageToken"))
    kept = (
        *("kind", "id", "tableReference", "type", "friendlyName", "labels", "creationTime", "expirationTime"),
        *("timePartitioning", "rangePartitioning", "clustering", "requirePartitionFilter"),
    )
    items = []
    for row in chosen:
        item = {key: value for key, value in shown_table(call.state, row).items() if key in kept}
        items.append({**item, "view": {"useLegacySql": False}} if row["type"] == "VIEW" else item)
    body: Json = {"kind": "bigquery#tableList", "etag": etag({"items": items}), "totalItems": len(rows)}
    if items:
        body["tables"] = items
    return {**body, "nextPageToken": token} if token else body


@implements("bigquery.tables.patch")
def patch(call: Call) -> Json:
    return _change(call, lambda row: merge_patch(row, _writable(call.body)))


@implements("bigquery.tables.update")
def update(call: Call) -> Json:
    def replaced(row: Json) -> Json:
        kept = {key: row[key] for key in (*_SERVER_OWNED, "schema") if key in row}
        return merge_patch(kept, _writable(call.body))

    return _change(call, replaced)


@implements("bigquery.tables.delete")
def delete(call: Call) -> Reply:
    row = _asked(call)
    delete_table(call.state, reference_of(row["tableReference"]))
    return Reply(None, 204)


@implements("bigquery.tables.getIamPolicy")
def get_iam_policy(call: Call) -> Json:
    return policy_of(call, _policy_name(call))


@implements("bigquery.tables.setIamPolicy")
def set_iam_policy(call: Call) -> Json:
    return replace_policy(call, _policy_name(call))


@implements("bigquery.tables.testIamPermissions")
def test_iam_permissions(call: Call) -> Json:
    _policy_name(call)
    return {"permissions": call.body.get("permissions", [])}


def _policy_name(call: Call) -> str:
    """Under which name the policy is kept of the table that the path names. Raises 404."""
    parts = call.path["resource"].split("/")
    if len(parts) != 6:
        raise refused(f"Invalid resource name: {call.path['resource']}", "invalid")
    reference = Reference(project_id(call.state, parts[1]), parts[3], parts[5])
    get_table(call.state, reference)
    return policy_name(call.state, reference)


def _asked(call: Call) -> Json:
    project = project_id(call.state, call.path["projectId"])
    row = get_table(call.state, Reference(project, call.path["datasetId"], call.path["tableId"]))
    check_etag(call, row)
    return row


def _writable(body: Json) -> Json:
    return {key: value for key, value in body.items() if key not in _SERVER_OWNED}


def _change(call: Call, change: Any) -> Json:
    row = _asked(call)
    changed = change(row)
    reference = reference_of(row["tableReference"])
    if "view" in changed:
        changed["schema"] = {"fields": view_schema(call.state, reference.project, changed["view"])}
    elif "schema" in changed:
        fields = checked(changed["schema"].get("fields", []))
        before = row.get("schema", {}).get("fields", [])
        changed["schema"] = {**changed["schema"], "fields": grown_schema(reference, before, fields)}
    return shown_table(call.state, put_table(call.state, changed))
