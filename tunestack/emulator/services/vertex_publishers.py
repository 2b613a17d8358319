"""Vertex AI: publisher models, i.e. base models that nobody deploys (aiplatform.v1, v1beta1)."""

from __future__ import annotations

import re
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import ApiError, not_found
from tunestack.emulator.services.text_prediction import predict_text

Json = dict[str, Any]

# The PaLM text models that tuned (reference: supported tuning base models), all played by the local base model.
_PLAYED = re.compile(r"publishers/google/models/(text-bison(-32k)?(@00[12])?|text-bison-00[12])")


@implements("aiplatform.projects.locations.publishers.models.predict")
async def predict(call: Call) -> Json:
    model = call.path["endpoint"].partition("/publishers/")[2]
    if not _PLAYED.fullmatch(f"publishers/{model}"):
        raise not_found(
            f"Publisher Model `{call.path['endpoint']}` was not found or is not played by the emulator: it has"
            " publishers/google/models/text-bison@001 and @002."
        )
    if call.state.options.base_model is None:
        raise ApiError("FAILED_PRECONDITION", "the emulator was started without --base-model")
    return await predict_text(call.state, call.body, None)
