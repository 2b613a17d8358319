"""Vertex AI: pipeline jobs (aiplatform.v1, v1beta1). Their other methods are all jobs': vertex_jobs."""

from __future__ import annotations

import re
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import invalid
from tunestack.emulator.jobs.templates import find_template
from tunestack.emulator.services.artifact_registry_templates import held_template
from tunestack.emulator.services.vertex_jobs import submit

Json = dict[str, Any]

PIPELINE_JOBS = "pipelineJobs"

# Set by the service, whatever the caller sends (cloud.google.com/vertex-ai/docs/pipelines/gcpc-label-propagation).
_BILLING_LABEL = "vertex-ai-pipelines-run-billing-id"


@implements("aiplatform.projects.locations.pipelineJobs.create")
def create(call: Call) -> Json:
    state, body = call.state, call.body
    identifier = call.query.get("pipelineJobId") or f"pipeline-{state.new_id()}"
    if not re.fullmatch(r"[a-z][-a-z0-9]{0,127}", identifier):
        raise invalid(
            f'Invalid pipeline job ID "{identifier}": lowercase letters, digits and -, a letter first, at most 128.'
        )
    template_uri = body.get("templateUri", "")
    if not template_uri and not body.get("pipelineSpec"):
        raise invalid("Either pipeline_spec or template_uri must be set.")
    template = find_template(template_uri)
    parameters = body.get("runtimeConfig", {}).get("parameterValues", {})
    if template:
        violations = template.violations(parameters)
        if violations:
            raise invalid("\n".join(text for _, text in violations), violations)
    labels = {**body.get("labels", {}), _BILLING_LABEL: str(state.new_id())}
    fetched: Json = {"templateMetadata": {"version": template.version}} if template else {}
    held = held_template(state, template_uri)
    if held:
        fetched = {
            "templateMetadata": {"version": held[0]},
            "pipelineSpec": body.get("pipelineSpec") or held[1],
        }
    return submit(call, PIPELINE_JOBS, identifier, "PIPELINE_STATE_PENDING", labels=labels, **fetched)
