"""Vertex AI: publisher models, i.e. base models that nobody deploys (aiplatform.v1, v1beta1)."""

from __future__ import annotations

from typing import Any

from tunestack.emulator.call import Call, Reply, implements
from tunestack.emulator.errors import not_found
from tunestack.emulator.services.content_generation import streamed
from tunestack.emulator.services.served_models import GEMINI, PALM, publisher_model
from tunestack.emulator.services.vertex import listed

Json = dict[str, Any]

_MODELS = "aiplatform.projects.locations.publishers.models"


@implements(f"{_MODELS}.predict")
async def predict(call: Call) -> Json:
    return await publisher_model(call.state, call.path["endpoint"]).predict(call.state, call.body)


@implements(f"{_MODELS}.generateContent")
async def generate_content(call: Call) -> Json:
    return await publisher_model(call.state, call.path["model"]).generate(call.state, call.body)


@implements(f"{_MODELS}.streamGenerateContent")
async def stream_generate_content(call: Call) -> Reply:
    return streamed(call, await generate_content(call))


# What a list shows; others of their families answer as well. The emulator plays them all by one base model.
_SHOWN = (
    "gemini-2.5-flash",
    "gemini-2.5-flash-lite",
    "gemini-2.5-pro",
    "text-bison@002",
    "text-bison-32k@002",
)
_SCHEMAS = "gs://google-cloud-aiplatform/schema/predict"


@implements("aiplatform.publishers.models.get")
def get(call: Call) -> Json:
    name = call.path["name"]
    if not PALM.fullmatch(name) and not GEMINI.fullmatch(name):
        raise not_found(f"Publisher Model `{name}` was not found or is not played by the emulator.")
    return _row(name.rpartition("/")[2])


@implements("aiplatform.publishers.models.list")
def list_models(call: Call) -> Json:
    """Those of Google; the emulator plays no other publisher's."""
    names = _SHOWN if call.path["parent"] == "publishers/google" else ()
    return listed(call, [_row(name) for name in names], "publisherModels")


def _row(name: str) -> Json:
    """What is known of a publisher's model without its card: the name, and for text models the schemas."""
    model, _, version = name.partition("@")
    row: Json = {
        "name": f"publishers/google/models/{model}",
        "versionId": version or "default",
        "openSourceCategory": "PROPRIETARY",
        "launchStage": "GA",
        "publisherModelTemplate": (
            f"projects/{{user-project}}/locations/{{location}}/publishers/google/models/{name}"
        ),
    }
    if model.startswith("text-bison"):
        row["predictSchemata"] = {
            "instanceSchemaUri": f"{_SCHEMAS}/instance/text_generation_1.0.0.yaml",
            "parametersSchemaUri": f"{_SCHEMAS}/params/text_generation_1.0.0.yaml",
            "predictionSchemaUri": f"{_SCHEMAS}/prediction/text_generation_1.0.0.yaml",
        }
    return row
