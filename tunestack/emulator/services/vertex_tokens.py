"""Vertex AI: countTokens and computeTokens (aiplatform.v1, v1beta1).

Exact for the local base model and its tokenizer, which play Google's: `countTokens` is what the model then counts
as ``promptTokenCount``, its chat template included; `computeTokens` is of the text alone.
"""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.conversation import Unplayed, prompt_of, turns_of_contents
from tunestack.emulator.errors import failed_precondition, invalid
from tunestack.emulator.services.served_models import Served, on_endpoint, publisher_model
from tunestack.emulator.services.vertex import named_row

Json = dict[str, Any]

_ENDPOINTS = "aiplatform.projects.locations.endpoints"
_PUBLISHERS = "aiplatform.projects.locations.publishers.models"


@implements(f"{_ENDPOINTS}.countTokens", f"{_PUBLISHERS}.countTokens")
async def count_tokens(call: Call) -> Json:
    served = _served(call)
    prompts = _prompts(call.body, whole=True)
    outputs = await call.state.worker.generate([text for _, text in prompts], served.adapter, 1, 0.0)
    total = sum(int(output["input_tokens"]) for output in outputs)
    characters = sum(len("".join(text.split())) for _, text in prompts)
    answer: Json = {"totalTokens": total, "totalBillableCharacters": characters}
    if served.chats:
        answer["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": total}]
    return answer


@implements(f"{_ENDPOINTS}.computeTokens", f"{_PUBLISHERS}.computeTokens")
async def compute_tokens(call: Call) -> Json:
    _served(call)
    base_model = call.state.options.base_model
    encode = _tokenizer(base_model / "tokenizer.json" if base_model else None)
    found = []
    for role, text in _prompts(call.body, whole=False):
        pairs = encode(text)
        info: Json = {
            "tokens": [base64.b64encode(token).decode() for _, token in pairs],
            "tokenIds": [str(number) for number, _ in pairs],
        }
        found.append({**info, "role": role} if role else info)
    return {"tokensInfo": found}


def _served(call: Call) -> Served:
    name = call.path["endpoint"]
    if "/publishers/" in name:
        return publisher_model(call.state, name)
    return on_endpoint(call.state, named_row(call, "endpoint"))


def _prompts(body: Json, *, whole: bool) -> list[tuple[str, str]]:
    """(role, text) of the contents, together as one prompt or one by one, or of the instances."""
    if ("contents" in body) == ("instances" in body):
        raise invalid("Exactly one of contents and instances must be set.", [("contents", "")])
    if "instances" in body:
        texts = [
            item.get("prompt") or item.get("content") for item in body["instances"] if isinstance(item, dict)
        ]
        if len(texts) != len(body["instances"]) or not all(isinstance(text, str) for text in texts):
            raise invalid('An instance has no text: it is {"prompt": "…"}.', [("instances", "")])
        return [("", str(text)) for text in texts]
    try:
        system, turns = turns_of_contents(body)
    except Unplayed as error:
        raise invalid(str(error)) from None
    if whole:
        return [("", prompt_of(system, turns))]
    return list(turns)


@cache
def _tokenizer(path: Path | None) -> Any:
    """What encodes a text as (id, bytes) pairs. Raises 400 without a tokenizer to ask."""
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise failed_precondition(
            "computeTokens needs the package tokenizers: install tunestack with its extra `tokens`"
        ) from None
    if path is None or not path.is_file():
        raise failed_precondition(f"the base model has no tokenizer.json ({path})")
    tokenizer = Tokenizer.from_file(str(path))
    bytes_of = _byte_alphabet()

    def encode(text: str) -> list[tuple[int, bytes]]:
        encoding = tokenizer.encode(text, add_special_tokens=False)
        return [
            (number, _bytes(token, bytes_of))
            for number, token in zip(encoding.ids, encoding.tokens, strict=True)
        ]

    return encode


def _bytes(token: str, bytes_of: dict[str, int]) -> bytes:
    """The bytes of a byte-level token; of another kind its text, ``▁`` being a space (SentencePiece)."""
    if all(sign in bytes_of for sign in token):
        return bytes(bytes_of[sign] for sign in token)
    return token.replace("▁", " ").encode()


def _byte_alphabet() -> dict[str, int]:
    """The sign by which a byte-level tokenizer writes each byte (GPT-2's table; no installed library has it)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    table = {chr(byte): byte for byte in plain}
    return table | {chr(256 + place): byte for place, byte in enumerate(others)}
