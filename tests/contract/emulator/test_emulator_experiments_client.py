"""Vertex AI Experiments by the high-level classes: what a training script logs is there to compare."""

from __future__ import annotations

import uuid

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform


@pytest.fixture
def experiment(emulator):
    name = f"experiment-{uuid.uuid4().hex[:8]}"

    def begin(**more):
        aiplatform.init(
            project="p23",
            location="us-central1",
            api_endpoint=emulator.url,
            api_transport="rest",
            credentials=AnonymousCredentials(),
            **more,
        )

    begin()
    board = aiplatform.Tensorboard.create(display_name=name)
    begin(experiment=name, experiment_tensorboard=board.resource_name)
    return name


def test_parameters_metrics_and_series_of_two_runs_are_compared_in_one_table(experiment):
    for rate, losses in ((0.1, [3.0, 2.0]), (0.2, [3.0, 1.0, 0.5])):
        aiplatform.start_run(f"run-{len(losses)}")
        aiplatform.log_params({"rate": rate, "base": "a model"})
        for step, loss in enumerate(losses, start=1):
            aiplatform.log_time_series_metrics({"loss": loss}, step=step)
        aiplatform.log_metrics({"accuracy": 1 - losses[-1] / 10})
        aiplatform.end_run()
    table = aiplatform.get_experiment_df(experiment).set_index("run_name")
    assert dict(table["param.rate"]) == {"run-2": 0.1, "run-3": 0.2}
    assert dict(table["metric.accuracy"]) == {"run-2": 0.8, "run-3": 0.95}
    assert dict(table["time_series_metric.loss"]) == {"run-2": 2.0, "run-3": 0.5}
    assert set(table["state"]) == {"COMPLETE"}
    run = aiplatform.ExperimentRun("run-3", experiment=experiment)
    assert list(run.get_time_series_data_frame()["loss"]) == [3.0, 1.0, 0.5]


def test_an_execution_tells_what_it_used_and_made(experiment):
    data = aiplatform.Artifact.create(schema_title="system.Dataset", uri="gs://somewhere/train.jsonl")
    with aiplatform.start_execution(
        schema_title="system.ContainerExecution", display_name="train"
    ) as execution:
        execution.assign_input_artifacts([data])
        model = aiplatform.Artifact.create(schema_title="system.Model", display_name="adapter")
        execution.assign_output_artifacts([model])
    assert [artifact.resource_name for artifact in execution.get_input_artifacts()] == [data.resource_name]
    assert [artifact.resource_name for artifact in execution.get_output_artifacts()] == [model.resource_name]
    assert execution.state.name == "COMPLETE"
    [found] = aiplatform.Artifact.list(filter='display_name="adapter"')
    assert found.resource_name == model.resource_name
