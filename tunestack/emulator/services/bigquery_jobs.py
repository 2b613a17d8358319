"""BigQuery: jobs, and queries in one call (bigquery.v2). They run in `tunestack.emulator.bigquery.jobs`."""

from __future__ import annotations

import os
import re
import uuid
from typing import Any

from tunestack.emulator.bigquery.billing_export import settle
from tunestack.emulator.bigquery.engine import check_installed
from tunestack.emulator.bigquery.jobs import JOBS, job_name, kind_of, milliseconds, upload_path, work_of
from tunestack.emulator.bigquery.refusal import refused
from tunestack.emulator.bigquery.rights import require_job
from tunestack.emulator.bigquery.tables import find_table, project_id, reference_of, table_name
from tunestack.emulator.call import Call, Reply, continues, implements
from tunestack.emulator.contents import Content
from tunestack.emulator.errors import ApiError, invalid
from tunestack.emulator.schema import Walk
from tunestack.emulator.services import resumable
from tunestack.emulator.services.bigquery_rows import rows_page
from tunestack.emulator.services.paging import page
from tunestack.emulator.services.storage_uploads import json_object, read_multipart
from tunestack.emulator.state import State, etag

Json = dict[str, Any]

_WAIT = 10.0
_OF_QUERY = (
    *("query", "defaultDataset", "useLegacySql", "parameterMode", "queryParameters", "maximumBytesBilled"),
    *("useQueryCache", "createSession", "connectionProperties"),
)


@implements("bigquery.jobs.insert")
async def insert(call: Call) -> Json | Reply:
    """A job; a load job may carry its data (``uploadType=multipart`` or ``resumable``)."""
    check_installed()
    await settle(call.state)
    if call.kind != "upload":
        row = _new(call, call.body)
        if row["configuration"].get("dryRun"):
            return _shown(await _dry(call, row))
        return _shown(_accept(call.state, row))
    incoming = call.incoming
    style = incoming.parameter("uploadType")
    if style == "resumable":
        data = await incoming.body()
        return resumable.begin(call, _checked(call, json_object(data) if data else {}))
    if style == "multipart":
        metadata, _, pieces = await read_multipart(incoming)
        return _loaded(call, _checked(call, metadata), b"".join(pieces))
    raise invalid(f"Invalid uploadType: {style}")


@continues("bigquery.jobs.insert")
async def go_on(call: Call) -> Json | Reply:
    def finish(call: Call, metadata: Json, content: Content) -> Json:
        data = call.state.contents.read(content.digest)
        call.state.database.after_commit(lambda: call.state.contents.forget(content.digest))
        return _loaded(call, metadata, data)

    return await resumable.go_on(call, finish)


@implements("bigquery.jobs.query")
async def query(call: Call) -> Json:
    """A query job, waited for. The same ``requestId`` is the same job."""
    check_installed()
    await settle(call.state)
    body = call.body
    state = call.state
    project = project_id(state, call.path["projectId"])
    configuration: Json = {"query": {key: body[key] for key in _OF_QUERY if key in body}}
    for key in ("dryRun", "labels"):
        if key in body:
            configuration[key] = body[key]
    reference = {"location": body["location"]} if "location" in body else {}
    if body.get("requestId"):
        reference["jobId"] = f"job_{re.sub(r'[^A-Za-z0-9_-]', '_', body['requestId'])}"
    kept = state.rows.find(job_name(project, reference.get("jobId", "")))
    if kept is None:
        row = _new(call, {"configuration": configuration, "jobReference": reference})
        if body.get("dryRun"):
            statistics = (await _dry(call, row))["statistics"]
            return {
                "kind": "bigquery#queryResponse",
                "jobReference": row["jobReference"],
                "jobComplete": True,
                "totalBytesProcessed": statistics["totalBytesProcessed"],
                "cacheHit": False,
                "schema": statistics["query"].get("schema", {"fields": []}),
            }
        kept = _accept(state, row)
    call.query = {
        "maxResults": body.get("maxResults"),
        "timeoutMs": body.get("timeoutMs", 10_000),
        **{f"formatOptions.{key}": value for key, value in body.get("formatOptions", {}).items()},
    }
    answer = {**await _results(call, kept), "kind": "bigquery#queryResponse"}
    changed = state.rows.get(_name(kept))["statistics"].get("query", {}).get("dmlStats")
    return {**answer, "dmlStats": changed} if changed else answer


@implements("bigquery.jobs.getQueryResults")
async def get_query_results(call: Call) -> Json:
    row = _asked(call)
    require_job(call.state, row, call.principal, "bigquery.jobs.get")
    body = await _results(call, row)
    return {**body, "kind": "bigquery#getQueryResultsResponse", "etag": etag(body)}


@implements("bigquery.jobs.get")
def get(call: Call) -> Json:
    row = _asked(call)
    require_job(call.state, row, call.principal, "bigquery.jobs.get")
    return _shown(row)


@implements("bigquery.jobs.list")
def list_jobs(call: Call) -> Json:
    """Newest first; of all users, for there is no other view of them here."""
    query = call.query
    project = project_id(call.state, call.path["projectId"])
    states = [state.upper() for state in query.get("stateFilter", [])]
    rows = []
    for row in call.state.rows.list(JOBS, f"bigquery/{project}", newest_first=True):
        created = int(row["statistics"]["creationTime"])
        inside = int(query.get("minCreationTime", 0)) <= created <= int(query.get("maxCreationTime", 2**62))
        if inside and (not states or row["status"]["state"] in states):
            rows.append({**row, "name": row["jobReference"]["jobId"]})
    chosen, token = page(rows, query.get("maxResults"), query.get("pageToken"), default=50)
    full = query.get("projection", "").lower() == "full"
    items = []
    for row in chosen:
        item = {**_shown(row), "state": row["status"]["state"]}
        for key in ("etag", "name", "selfLink"):
            item.pop(key)
        if "errorResult" in row["status"]:
            item["errorResult"] = row["status"]["errorResult"]
        items.append(item if full else {key: value for key, value in item.items() if key != "configuration"})
    body: Json = {"kind": "bigquery#jobList", "etag": etag({"jobs": items}), "jobs": items}
    return {**body, "nextPageToken": token} if token else body


@implements("bigquery.jobs.cancel")
def cancel(call: Call) -> Json:
    row = _asked(call)
    require_job(call.state, row, call.principal, "bigquery.jobs.update")
    call.state.bigquery_jobs.cancel(_name(row))
    return {"kind": "bigquery#jobCancelResponse", "job": _shown(row)}


@implements("bigquery.jobs.delete")
def delete(call: Call) -> Reply:
    row = _asked(call)
    if row["status"]["state"] != "DONE":
        raise refused(f"Cannot delete a job that is {row['status']['state']}", "invalid")
    call.state.rows.delete(_name(row))
    return Reply(None, 204)


@implements("bigquery.projects.list")
def list_projects(call: Call) -> Json:
    project = call.state.options.project
    entry = {
        "kind": "bigquery#project",
        "id": project,
        "numericId": call.state.projects.number(project),
        "projectReference": {"projectId": project},
        "friendlyName": project,
    }
    return {"kind": "bigquery#projectList", "etag": etag(entry), "projects": [entry], "totalItems": 1}


@implements("bigquery.projects.getServiceAccount")
def service_account(call: Call) -> Json:
    number = call.state.projects.number(call.path["projectId"])
    return {
        "kind": "bigquery#getServiceAccountResponse",
        "email": f"bq-{number}@bigquery-encryption.iam.gserviceaccount.com",
    }


def _new(call: Call, body: Json) -> Json:
    """A job's row, not kept yet."""
    state = call.state
    project = project_id(state, call.path["projectId"])
    reference = body.get("jobReference", {})
    identifier = reference.get("jobId") or f"job_{uuid.uuid4().hex[:28]}"
    if not re.fullmatch(r"[\w-]{1,1024}", identifier, re.ASCII):
        raise refused(f'Invalid job ID "{identifier}"', "invalid")
    if state.rows.find(job_name(project, identifier)):
        location = reference.get("location", "US")
        raise ApiError(
            "ALREADY_EXISTS", f"Already Exists: Job {project}:{location}.{identifier}", reason="duplicate"
        )
    kinds = [kind for kind in ("query", "load", "extract", "copy") if kind in body.get("configuration", {})]
    if len(kinds) != 1:
        raise refused(
            "Required parameter is missing: a job has one of query, load, extract and copy", "required"
        )
    return {
        "configuration": {**body["configuration"], "jobType": kinds[0].upper()},
        "jobReference": {
            "projectId": project,
            "jobId": identifier,
            "location": reference.get("location", "US"),
        },
        "status": {"state": "PENDING"},
        "statistics": {"creationTime": milliseconds(state)},
        "user_email": call.principal,
    }


async def _dry(call: Call, row: Json) -> Json:
    statistics = work_of(kind_of(row)).check(call.state, row)
    return {
        **row,
        "status": {"state": "DONE"},
        "statistics": {**row["statistics"], **statistics},
    }


def _accept(state: State, row: Json) -> Json:
    with state.database.transaction():
        state.rows.create(JOBS, f"bigquery/{row['jobReference']['projectId']}", _name(row), row)
        state.database.after_commit(lambda: state.bigquery_jobs.begin(row))
    return row


def _loaded(call: Call, body: Json, data: bytes) -> Json:
    """A load job with its data, which is on disk before the job is accepted."""
    row = _new(call, body)
    if "load" not in row["configuration"]:
        raise refused("Only load jobs take data.", "invalid")
    with upload_path(call.state, row).open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return _shown(_accept(call.state, row))


def _checked(call: Call, metadata: Json) -> Json:
    walk = Walk(call.state.documents.schemas["bigquery.v2"], request=True)
    body: Json = walk.message("Job", metadata)
    if walk.violations:
        raise invalid("\n".join(text for _, text in walk.violations), walk.violations)
    return body


def _asked(call: Call) -> Json:
    project = project_id(call.state, call.path["projectId"])
    row = call.state.rows.find(job_name(project, call.path["jobId"]))
    location = call.query.get("location")
    if row is None or (location and location.upper() != row["jobReference"]["location"].upper()):
        where = (
            f"{project}:{location}.{call.path['jobId']}" if location else f"{project}:{call.path['jobId']}"
        )
        raise ApiError("NOT_FOUND", f"Not found: Job {where}")
    return row


def _name(row: Json) -> str:
    return job_name(row["jobReference"]["projectId"], row["jobReference"]["jobId"])


def _shown(row: Json) -> Json:
    reference = row["jobReference"]
    visible = {key: value for key, value in row.items() if not key.startswith("_")}
    return {
        "kind": "bigquery#job",
        "id": f"{reference['projectId']}:{reference['location']}.{reference['jobId']}",
        "selfLink": f"https://bigquery.googleapis.com/bigquery/v2/projects/{reference['projectId']}/jobs/"
        f"{reference['jobId']}?location={reference['location']}",
        "etag": etag(visible),
        **visible,
    }


async def _results(call: Call, row: Json) -> Json:
    """What is there of a query's answer after waiting for it."""
    state = call.state
    if "query" not in row["configuration"]:
        raise refused("Cannot get query results for a job that is not a query.", "invalid")
    timeout = call.query.get("timeoutMs")
    await state.bigquery_jobs.wait(_name(row), _WAIT if timeout is None else min(int(timeout) / 1000, 200))
    row = state.rows.get(_name(row))
    body: Json = {"jobReference": row["jobReference"], "jobComplete": row["status"]["state"] == "DONE"}
    if not body["jobComplete"]:
        return body
    error = row["status"].get("errorResult")
    if error:
        codes = {"notFound": "NOT_FOUND", "duplicate": "ALREADY_EXISTS", "notImplemented": "UNIMPLEMENTED"}
        codes |= {"internalError": "INTERNAL", "stopped": "CANCELLED", "accessDenied": "PERMISSION_DENIED"}
        raise ApiError(
            codes.get(error["reason"], "INVALID_ARGUMENT"), error["message"], reason=error["reason"]
        )
    statistics = row["statistics"].get("query", {})
    body |= {"totalBytesProcessed": statistics.get("totalBytesProcessed", "0"), "cacheHit": False}
    if "numDmlAffectedRows" in statistics:
        body["numDmlAffectedRows"] = statistics["numDmlAffectedRows"]
    destination = row["configuration"]["query"].get("destinationTable")
    if statistics.get("statementType") != "SELECT" or destination is None:
        return {**body, "totalRows": "0"}
    reference = reference_of(destination)
    if find_table(state, reference) is None:
        raise ApiError(
            "NOT_FOUND", f"Not found: Table {reference.project}:{reference.dataset}.{reference.table}"
        )
    body["schema"] = statistics["schema"]
    return {**body, **await rows_page(call, table_name(reference), statistics["schema"]["fields"])}
