"""Vertex AI: pipeline jobs (aiplatform.v1, v1beta1). They run in `tunestack.emulator.pipelines`."""

from __future__ import annotations

import re
import shutil
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import failed_precondition, invalid
from tunestack.emulator.pipelines.states import ENDED
from tunestack.emulator.pipelines.templates import find_template
from tunestack.emulator.services.vertex import check_labels, finished_operation, list_rows, named_row

Json = dict[str, Any]

PIPELINE_JOBS = "pipelineJobs"

# Set by the service, whatever the caller sends (cloud.google.com/vertex-ai/docs/pipelines/gcpc-label-propagation).
_BILLING_LABEL = "vertex-ai-pipelines-run-billing-id"


@implements("aiplatform.projects.locations.pipelineJobs.create")
def create(call: Call) -> Json:
    state, body, parent = call.state, call.body, call.parent()
    identifier = call.query.get("pipelineJobId") or f"pipeline-{state.new_id()}"
    if not re.fullmatch(r"[a-z][-a-z0-9]{0,127}", identifier):
        raise invalid(
            f'Invalid pipeline job ID "{identifier}": lowercase letters, digits and -, a letter first, at most 128.'
        )
    check_labels(body.get("labels", {}))
    template_uri = body.get("templateUri", "")
    if not template_uri and not body.get("pipelineSpec"):
        raise invalid("Either pipeline_spec or template_uri must be set.")
    template = find_template(template_uri)
    parameters = body.get("runtimeConfig", {}).get("parameterValues", {})
    if template:
        violations = template.violations(parameters)
        if violations:
            raise invalid("\n".join(text for _, text in violations), violations)
    now = state.now()
    name = f"{parent}/{PIPELINE_JOBS}/{identifier}"
    run = state.new_id()
    row = {
        **body,
        "name": name,
        "labels": {**body.get("labels", {}), _BILLING_LABEL: str(run)},
        "state": "PIPELINE_STATE_PENDING",
        "createTime": now,
        "updateTime": now,
    }
    if template:
        row["templateMetadata"] = {"version": template.version}
    state.rows.create(PIPELINE_JOBS, parent, name, row)
    state.runner.accept(row)
    return row


@implements("aiplatform.projects.locations.pipelineJobs.get")
def get(call: Call) -> Json:
    return named_row(call)


@implements("aiplatform.projects.locations.pipelineJobs.list")
def list_jobs(call: Call) -> Json:
    return list_rows(call, PIPELINE_JOBS)


@implements("aiplatform.projects.locations.pipelineJobs.cancel")
def cancel(call: Call) -> Json:
    row = named_row(call)
    if row["state"] in ENDED:
        raise failed_precondition(f"{row['name']} has ended ({row['state']}) and cannot be cancelled.")
    call.state.runner.cancel(row["name"])
    return {}


@implements("aiplatform.projects.locations.pipelineJobs.delete")
def delete(call: Call) -> Json:
    state = call.state
    row = named_row(call)
    if row["state"] not in ENDED:
        raise failed_precondition(f"{row['name']} is {row['state']}: cancel it before deleting it.")
    folder = state.runner.folder(row["name"])
    state.rows.delete(row["name"])
    state.database.execute("DELETE FROM job WHERE name = ?", row["name"])
    state.database.after_commit(lambda: shutil.rmtree(folder, ignore_errors=True))
    return finished_operation(call, row["name"], "Delete", None)
