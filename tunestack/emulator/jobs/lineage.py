"""What a job leaves in the default metadata store, as Vertex AI Pipelines leaves it.

A pipeline job: a context for the pipeline and below it one for the run, in it an execution of the run (``system.Run``,
whose metadata hold ``input:<parameter>``: python-aiplatform, PipelineJob._query_experiment_row), one a task, and the
artifacts that tasks used and made. A tuning job: the context that its ``experiment`` names, with one execution.
Ids of artifacts follow from what they are of, so that two runs on the same file share its artifact.
"""

from __future__ import annotations

import hashlib
from typing import Any

from tunestack.emulator.jobs.pipeline_run import PipelineRun
from tunestack.emulator.jobs.run import Run
from tunestack.emulator.services.metadata_store import (
    ARTIFACTS,
    CONTEXTS,
    EXECUTIONS,
    add_child,
    add_event,
    default_store,
    join_context,
    put_node,
)
from tunestack.emulator.services.vertex import location_of

Json = dict[str, Any]

_VERSION = "0.0.1"
_NODE = ("displayName", "state", "schemaTitle", "schemaVersion", "metadata")
# State of a job's end -> of its execution (Execution.State).
_STATES = {"SUCCEEDED": "COMPLETE", "CANCELLED": "CANCELLED"}
# The metrics that a tuning reports.
_METRICS = ("best_eval_loss", "best_step", "steps", "seconds")


def begin_pipeline(run: PipelineRun) -> None:
    """The contexts, the run's own execution, and one for each task."""
    state, detail = run.state, run.row["jobDetail"]
    store = default_store(state, run.parent)
    contexts = []
    for key in ("pipelineContext", "pipelineRunContext"):
        context = detail[key]
        body = {name: context[name] for name in _NODE if name in context}
        contexts.append(put_node(state, store, CONTEXTS, context["name"].rpartition("/")[2], body))
    add_child(state, *contexts)
    executions = [_keep_run(run, "RUNNING")]
    for task in detail["taskDetails"]:
        executions.append(keep_execution(run, task["execution"]))
    join_context(state, contexts[1], executions)


def keep_execution(run: Run, execution: Json) -> str:
    """A task's execution as its detail has it now; its name."""
    body = {name: execution[name] for name in _NODE if name in execution}
    store = default_store(run.state, run.parent)
    return put_node(run.state, store, EXECUTIONS, execution["name"].rpartition("/")[2], body)


def end_pipeline(run: PipelineRun, end: str) -> None:
    """``end`` is the short state that the job comes to."""
    if "jobDetail" in run.row:
        _keep_run(run, _STATES.get(end, "FAILED"))


def finish_task(run: PipelineRun, task: str) -> None:
    """The artifacts that a task used and made, by what its execution reports. Done twice it changes nothing."""
    metadata = run.task(task)["execution"]["metadata"]
    used, made = _used(run, task), _made(run, task, metadata)
    execution = run.task(task)["execution"]["name"]
    for names, kind in ((used, "INPUT"), (made, "OUTPUT")):
        for artifact in names.values():
            add_event(run.state, execution, artifact, kind)
    join_context(
        run.state, run.row["jobDetail"]["pipelineRunContext"]["name"], [*used.values(), *made.values()]
    )
    lists = {
        key: {name: {"artifacts": [run.state.rows.get(artifact)]} for name, artifact in names.items()}
        for key, names in (("inputs", used), ("outputs", made))
        if names
    }
    run.change_task(task, **lists)


def begin_tuning(run: Run) -> str:
    """The experiment's context and the job's execution in it; the context's name."""
    state, row = run.state, run.row
    store = default_store(state, run.parent)
    identifier = f"tuning-experiment-{run.identifier}"
    context = put_node(
        state,
        store,
        CONTEXTS,
        identifier,
        {"displayName": identifier, "schemaTitle": "system.Experiment", "schemaVersion": _VERSION},
    )
    spec: Json = next((row[key] for key in row if key.endswith("TuningSpec")), {})
    parameters = {"baseModel": row.get("baseModel", ""), **spec.get("hyperParameters", {})}
    execution = _keep_tuning(run, "RUNNING", {f"input:{key}": value for key, value in parameters.items()})
    data = [
        _artifact(run, spec[key], "system.Dataset", spec[key].rpartition("/")[2])
        for key in ("trainingDatasetUri", "validationDatasetUri")
        if spec.get(key, "").startswith("gs://")
    ]
    for artifact in data:
        add_event(state, execution, artifact, "INPUT")
    join_context(state, context, [execution, *data])
    return context


def end_tuning(run: Run, end: str, model: str = "") -> None:
    """``model`` is the tuned model's name, if there is one."""
    store = default_store(run.state, run.parent)
    context = f"{store}/{CONTEXTS}/tuning-experiment-{run.identifier}"
    if run.state.rows.find(context) is None:
        return
    execution = _keep_tuning(run, _STATES.get(end, "FAILED"))
    if model:
        artifact = _resource(run, model, "google.VertexModel")
        add_event(run.state, execution, artifact, "OUTPUT")
        join_context(run.state, context, [artifact])


def _keep_run(run: PipelineRun, state: str) -> str:
    parameters = {f"input:{key}": value for key, value in run.parameters.items()}
    body = {
        "displayName": run.identifier,
        "state": state,
        "schemaTitle": "system.Run",
        "schemaVersion": _VERSION,
        "metadata": parameters,
    }
    return put_node(run.state, default_store(run.state, run.parent), EXECUTIONS, _id(run.name), body)


def _keep_tuning(run: Run, state: str, metadata: Json | None = None) -> str:
    body: Json = {
        "displayName": run.identifier,
        "state": state,
        "schemaTitle": "system.Run",
        "schemaVersion": _VERSION,
    }
    if metadata is not None:
        body["metadata"] = metadata
    return put_node(run.state, default_store(run.state, run.parent), EXECUTIONS, _id(run.name), body)


def _used(run: PipelineRun, task: str) -> dict[str, str]:
    """Parameter -> artifact."""
    before = {
        "upload-llm-model": ("tune", "saved_model"),
        "deploy-llm-model": ("upload-llm-model", "model"),
    }
    if task in before:
        other, output = before[task]
        artifact = _made(run, other, run.task(other)["execution"]["metadata"]).get(output)
        return {output: artifact} if artifact else {}
    found = {}
    for parameter in ("dataset_uri", "evaluation_data_uri"):
        if uri := run.parameters[parameter]:
            found[parameter] = _artifact(run, uri, "system.Dataset", uri.rpartition("/")[2])
    return found


def _made(run: PipelineRun, task: str, metadata: Json) -> dict[str, str]:
    """Output -> artifact, by what the execution reports."""
    found = {}
    for output, schema in (("report", "system.Artifact"), ("saved_model", "system.Model")):
        if uri := metadata.get(f"output:{output}"):
            found[output] = _artifact(run, uri, schema, output)
    if task == "tune" and metadata.get("best_eval_loss") is not None:
        uri = f"{run.output_uri}/tune/eval.json"
        values = {key: metadata[key] for key in _METRICS if metadata.get(key) is not None}
        found["metrics"] = _artifact(run, uri, "system.Metrics", "metrics", values)
    for output, schema in (("model", "google.VertexModel"), ("endpoint", "google.VertexEndpoint")):
        if name := metadata.get(f"output:{output}_resource_name"):
            found[output] = _resource(run, name, schema)
    return found


def _resource(run: Run, name: str, schema: str) -> str:
    uri = f"https://{location_of(name)}-aiplatform.googleapis.com/v1/{name}"
    return _artifact(run, uri, schema, name.rpartition("/")[2], {"resourceName": name})


def _artifact(run: Run, uri: str, schema: str, display_name: str, metadata: Json | None = None) -> str:
    body = {
        "displayName": display_name,
        "uri": uri,
        "schemaTitle": schema,
        "schemaVersion": _VERSION,
        "state": "LIVE",
        "metadata": metadata or {},
    }
    return put_node(run.state, default_store(run.state, run.parent), ARTIFACTS, _id(uri), body)


def _id(of: str) -> str:
    return str(10**18 + int.from_bytes(hashlib.sha256(of.encode()).digest()[:8], "big") % (8 * 10**18))
