"""Pipeline jobs: the tasks of a template that the emulator plays, one after another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from tunestack.emulator.jobs.lineage import begin_pipeline, end_pipeline, finish_task
from tunestack.emulator.jobs.pipeline_run import PipelineRun
from tunestack.emulator.jobs.rights import require_to_begin_pipeline
from tunestack.emulator.jobs.states import PIPELINE_STATES, TaskFailed
from tunestack.emulator.jobs.templates import Template
from tunestack.emulator.jobs.tune_large_model import TASKS

if TYPE_CHECKING:
    from tunestack.emulator.state import State

Json = dict[str, Any]

_UNTRAINED = ("validate-dataset", "tune")


class PipelineJob:
    collection: ClassVar = "pipelineJobs"
    noun: ClassVar = "pipeline job"
    states: ClassVar = PIPELINE_STATES

    def open(self, state: State, name: str) -> PipelineRun:
        return PipelineRun(state, name)

    def trains(self, run: PipelineRun) -> bool:
        return not _spared(run)

    async def work(self, run: PipelineRun) -> Json:
        if run.template is None:
            what = run.row.get("templateUri") or "a pipeline_spec without template_uri"
            raise TaskFailed(
                "UNIMPLEMENTED",
                f"the emulator does not play {what}: it has tune-large-model"
                " (https://us-kfp.pkg.dev/ml-pipeline/large-language-model-pipelines/tune-large-model/v2.0.0)",
            )
        require_to_begin_pipeline(run, run.output_uri)
        with run.state.database.transaction():
            if "jobDetail" not in run.row:
                run.change(jobDetail=_job_detail(run, run.template))
            begin_pipeline(run)
        for name in run.template.tasks:
            if run.task(name)["state"] == "SUCCEEDED":
                continue
            if run.task(name)["state"] != "RUNNING":
                run.change_task(name, state="RUNNING", startTime=run.state.now())
            scripted = await run.script(name) or name in _spared(run)
            metadata = {"scripted": True} if scripted else await TASKS[name](run)
            with run.state.database.transaction():
                run.change_task(name, state="SUCCEEDED", endTime=run.state.now(), metadata=metadata)
                finish_task(run, name)
        end_pipeline(run, "SUCCEEDED")
        return {}

    def close(self, run: PipelineRun, state: str, error: Json | None) -> None:
        for detail in run.row.get("jobDetail", {}).get("taskDetails", []):
            if detail["state"] == "RUNNING":
                run.change_task(detail["taskName"], state=state, endTime=run.state.now(), error=error)
            elif detail["state"] == "PENDING":
                run.change_task(detail["taskName"], state="NOT_TRIGGERED")
        end_pipeline(run, state)


def _spared(run: PipelineRun) -> tuple[str, ...]:
    """The tasks that a script plays instead of the emulator: up to the training, where nothing is trained."""
    outcome = run.notes.get("outcome")
    if not outcome or outcome["afterStep"] is not None or outcome["task"] not in _UNTRAINED:
        return ()
    return _UNTRAINED


def _job_detail(run: PipelineRun, template: Template) -> Json:
    now = run.state.now()
    store = f"{run.parent}/metadataStores/default"
    ids = run.notes["executionIds"]
    tasks = []
    for task, identifier in zip(template.tasks, ids, strict=False):
        tasks.append(
            {
                "taskId": identifier,
                "taskName": task,
                "state": "PENDING",
                "createTime": now,
                "execution": {
                    "name": f"{store}/executions/{identifier}",
                    "displayName": task,
                    "state": "NEW",
                    "createTime": now,
                    "updateTime": now,
                    "schemaTitle": "system.ContainerExecution",
                    "schemaVersion": "0.0.1",
                    "metadata": {},
                },
                "pipelineTaskStatus": [{"state": "PENDING", "updateTime": now}],
            }
        )
    context = {"createTime": now, "updateTime": now, "schemaVersion": "0.0.1"}
    return {
        "pipelineContext": {
            **context,
            "name": f"{store}/contexts/{template.name}",
            "displayName": template.name,
            "schemaTitle": "system.Pipeline",
        },
        "pipelineRunContext": {
            **context,
            "name": f"{store}/contexts/{run.identifier}",
            "displayName": run.identifier,
            "schemaTitle": "system.PipelineRun",
            "parentContexts": [f"{store}/contexts/{template.name}"],
        },
        "taskDetails": tasks,
    }
