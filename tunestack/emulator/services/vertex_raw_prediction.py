"""Vertex AI: predictions that are wrapped otherwise (aiplatform.v1, v1beta1): raw bodies, tensors, explanations.

A model of text takes the same in a raw body as in ``predict``, as every model server does.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import orjson

from tunestack.emulator.call import Call, Reply, implements
from tunestack.emulator.errors import ApiError, failed_precondition, invalid
from tunestack.emulator.services.model_registry import version_row
from tunestack.emulator.services.served_models import NO_PREDICT, Served, on_endpoint, publisher_model
from tunestack.emulator.services.vertex import named_row

Json = dict[str, Any]

_ENDPOINTS = "aiplatform.projects.locations.endpoints"
_PUBLISHERS = "aiplatform.projects.locations.publishers.models"
_VALUES = ("stringVal", "intVal", "int64Val", "floatVal", "doubleVal", "boolVal")


@implements(f"{_ENDPOINTS}.rawPredict", f"{_ENDPOINTS}.streamRawPredict")
async def raw_predict(call: Call) -> Reply:
    """The stream is of one piece."""
    served = on_endpoint(call.state, named_row(call, "endpoint"))
    answer = await served.predict(call.state, await _raw_body(call))
    # The model's server answers, not Vertex: what Vertex says of the model stands in headers.
    answer = {key: answer[key] for key in ("predictions", "metadata") if key in answer}
    headers = {
        "content-type": "application/json",
        "x-vertex-ai-endpoint-id": call.path["endpoint"].rpartition("/")[2],
        "x-vertex-ai-deployed-model-id": (served.deployed or {}).get("id", ""),
    }
    return Reply(orjson.dumps(answer), headers=headers)


@implements(f"{_PUBLISHERS}.rawPredict", f"{_PUBLISHERS}.streamRawPredict")
async def raw_predict_publisher(call: Call) -> Reply:
    """For partners' models, none of which is played."""
    served = publisher_model(call.state, call.path["endpoint"])
    if served.chats:
        raise failed_precondition(NO_PREDICT)
    raise failed_precondition(f"{served.version} does not support rawPredict: use predict.")


@implements(f"{_ENDPOINTS}.serverStreamingPredict")
async def stream_predict(call: Call) -> Reply:
    return await _stream(call, on_endpoint(call.state, named_row(call, "endpoint")))


@implements(f"{_PUBLISHERS}.serverStreamingPredict")
async def stream_predict_publisher(call: Call) -> Reply:
    return await _stream(call, publisher_model(call.state, call.path["endpoint"]))


@implements(f"{_ENDPOINTS}.explain")
def explain(call: Call) -> Json:
    """Refused without an explanation spec, as Google does; the emulator computes no attributions."""
    endpoint = named_row(call, "endpoint")
    wanted = call.body.get("deployedModelId")
    deployed = [item for item in endpoint.get("deployedModels", []) if wanted in (None, item["id"])]
    if not deployed:
        raise failed_precondition(f"{endpoint['name']} has no deployed model {wanted or ''}".rstrip() + ".")
    for item in deployed:
        model = version_row(call.state, f"{item['model']}@{item['modelVersionId']}")
        if "explanationSpec" not in item and "explanationSpec" not in model:
            raise failed_precondition(
                f"DeployedModel {item['id']} has no explanation_spec: explanations are not enabled for it."
            )
    raise ApiError("UNIMPLEMENTED", "the emulator computes no feature attributions")


async def _raw_body(call: Call) -> Json:
    """The payload: the body itself, or what generated REST clients wrap it in (``httpBody``, base64)."""
    data = await call.incoming.body()
    try:
        body = orjson.loads(data)
        if isinstance(body, dict) and set(body) == {"httpBody"}:
            body = orjson.loads(base64.b64decode(body["httpBody"].get("data", ""), validate=True))
    except (orjson.JSONDecodeError, binascii.Error) as error:
        raise invalid(f"The request is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise invalid("The request is not a JSON object.")
    return body


async def _stream(call: Call, served: Served) -> Reply:
    """A JSON array of ``StreamingPredictResponse``: the text in two pieces."""
    body = {
        "instances": [_value(tensor) for tensor in call.body.get("inputs", [])],
        "parameters": _value(call.body["parameters"]) if "parameters" in call.body else {},
    }
    answer = await served.predict(call.state, body)
    pieces: list[Json] = []
    for half in (0, 1):
        outputs = []
        for prediction in answer["predictions"]:
            text = prediction["content"]
            middle = len(text) // 2
            outputs.append(_tensor({**prediction, "content": text[middle:] if half else text[:middle]}))
        pieces.append({"outputs": outputs})
    return Reply(orjson.dumps(pieces), headers={"content-type": "application/json; charset=UTF-8"})


def _value(tensor: Json) -> Any:
    """What a tensor of a language model's request stands for: one value of a list stands for itself."""
    if "structVal" in tensor:
        return {key: _value(child) for key, child in tensor["structVal"].items()}
    if "listVal" in tensor:
        return [_value(child) for child in tensor["listVal"]]
    for key in _VALUES:
        if key in tensor:
            values = [int(value) for value in tensor[key]] if key == "int64Val" else tensor[key]
            return values[0] if len(values) == 1 else values
    return None


def _tensor(value: Any) -> Json:
    if isinstance(value, dict):
        return {"structVal": {key: _tensor(child) for key, child in value.items()}}
    if isinstance(value, list):
        return {"listVal": [_tensor(child) for child in value]}
    if isinstance(value, bool):
        return {"dtype": "BOOL", "boolVal": [value]}
    if isinstance(value, int):
        return {"dtype": "INT64", "int64Val": [str(value)]}
    if isinstance(value, float):
        return {"dtype": "DOUBLE", "doubleVal": [value]}
    return {"dtype": "STRING", "stringVal": [str(value)]}
