"""Evaluations of models with Google's own client: imported for a version, listed with it, gone with it."""

from __future__ import annotations

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform, aiplatform_v1
from google.protobuf import struct_pb2

PARENT = "projects/p29/locations/us-central1"
SCHEMA = "gs://google-cloud-aiplatform/schema/modelevaluation/general_text_generation_metrics_1.0.0.yaml"


def imported(models, parent, bleu):
    metrics = struct_pb2.Value(
        struct_value=struct_pb2.Struct(fields={"bleu": struct_pb2.Value(number_value=bleu)})
    )
    evaluation = aiplatform_v1.ModelEvaluation(
        display_name="held out", metrics=metrics, metrics_schema_uri=SCHEMA
    )
    return models.import_model_evaluation(parent=parent, model_evaluation=evaluation)


def test_an_evaluation_belongs_to_a_version(emulator):
    models = emulator.google(aiplatform_v1.ModelServiceClient)
    upload = {"model": {"displayName": "m"}}
    model = emulator.call("POST", f"/v1/{PARENT}/models:upload", upload)["response"]["model"]
    emulator.call("POST", f"/v1/{PARENT}/models:upload", {**upload, "parentModel": model})
    first, second = imported(models, model, 3.5), imported(models, f"{model}@2", 4.5)
    assert models.get_model_evaluation(name=first.name) == first
    assert first.name.startswith(f"{model}/evaluations/")
    for parent, evaluation in ((model, first), (f"{model}@2", second)):
        assert [row.name for row in models.list_model_evaluations(parent=parent)] == [evaluation.name]
    aiplatform.init(
        project="p29",
        location="us-central1",
        api_endpoint=emulator.url,
        api_transport="rest",
        credentials=AnonymousCredentials(),
    )
    [found] = aiplatform.Model(f"{model}@2").list_model_evaluations()
    assert found.metrics["bleu"] == 4.5
    models.delete_model_version(name=f"{model}@2").result()
    with pytest.raises(exceptions.NotFound):
        models.get_model_evaluation(name=second.name)
    assert models.get_model_evaluation(name=first.name).create_time
