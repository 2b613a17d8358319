"""Cloud Storage: objects made of others: copy, rewrite, compose (storage.v1)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

import orjson

from tunestack.emulator.call import Call, implements
from tunestack.emulator.contents import Content, file_pieces
from tunestack.emulator.errors import invalid
from tunestack.emulator.services.customer_keys import check_readable
from tunestack.emulator.services.storage import check_preconditions, digest_of, get_object, shown_object
from tunestack.emulator.services.storage_objects import WRITABLE, content_of, store

Json = dict[str, Any]

_MEBIBYTE = 1 << 20


@implements("storage.objects.copy")
def copy(call: Call) -> Json:
    return shown_object(call, _copied(call))


@implements("storage.objects.rewrite")
def rewrite(call: Call) -> Json:
    """A copy, in as many calls as ``maxBytesRewrittenPerCall`` asks for: a token says how far the last one came."""
    path, query = call.path, call.query
    source = get_object(call.state, path["sourceBucket"], path["sourceObject"], query.get("sourceGeneration"))
    size, at_most = int(source["size"]), query.get("maxBytesRewrittenPerCall")
    if at_most is not None and (at_most <= 0 or at_most % _MEBIBYTE):
        raise invalid("maxBytesRewrittenPerCall must be an integral multiple of 1 MiB (1048576).")
    so_far = _rewritten(query["rewriteToken"], call, source) if query.get("rewriteToken") else 0
    reached = min(size, so_far + (at_most or size))
    answer: Json = {
        "kind": "storage#rewriteResponse",
        "objectSize": str(size),
        "totalBytesRewritten": str(reached),
    }
    if reached < size:
        token = [*_places(call), source["generation"], reached]
        return {
            **answer,
            "done": False,
            "rewriteToken": base64.urlsafe_b64encode(orjson.dumps(token)).decode(),
        }
    return {**answer, "done": True, "resource": shown_object(call, _copied(call))}


def _places(call: Call) -> list[str]:
    return [
        call.path[key] for key in ("sourceBucket", "sourceObject", "destinationBucket", "destinationObject")
    ]


def _rewritten(token: str, call: Call, source: Json) -> int:
    """How far a rewrite came. Raises 400 for a token of another one, or of another generation."""
    try:
        *of, reached = orjson.loads(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError, TypeError):
        of, reached = [], 0
    if of != [*_places(call), source["generation"]]:
        raise invalid("The rewrite token is not valid for this request.")
    return int(reached)


@implements("storage.objects.compose")
def compose(call: Call) -> Json:
    state = call.state
    bucket = call.path["destinationBucket"]
    sources = call.body.get("sourceObjects", [])
    if not 1 <= len(sources) <= 32:
        raise invalid("The number of source components provided must be between 1 and 32.")
    bodies = []
    for source in sources:
        generation = source.get("generation")
        body = get_object(state, bucket, source["name"], int(generation) if generation else None)
        condition = source.get("objectPreconditions", {}).get("ifGenerationMatch")
        check_preconditions(
            {"ifGenerationMatch": int(condition)} if condition is not None else {},
            int(body["generation"]),
            None,
        )
        check_readable(state, body)
        bodies.append(body)

    def pieces() -> Iterator[bytes]:
        for body in bodies:
            yield from file_pieces(state.contents.path(digest_of(state, body)))

    content = state.contents.put(pieces())
    # A composite object has no MD5 (cloud.google.com/storage/docs/composite-objects).
    composite = Content(content.digest, content.size, None, content.crc32c)
    metadata = {
        "contentType": bodies[0]["contentType"],
        **call.body.get("destination", {}),
        "componentCount": sum(body.get("componentCount", 1) for body in bodies),
    }
    return shown_object(
        call, store(state, bucket, call.path["destinationObject"], metadata, composite, call.query)
    )


def _copied(call: Call) -> Json:
    state, path, query = call.state, call.path, call.query
    source = get_object(state, path["sourceBucket"], path["sourceObject"], query.get("sourceGeneration"))
    check_preconditions(query, int(source["generation"]), int(source["metageneration"]), source=True)
    check_readable(state, source)
    metadata = call.body or {key: value for key, value in source.items() if key in WRITABLE}
    metadata = {"contentType": source["contentType"], **metadata}
    for computed in ("md5Hash", "crc32c"):
        metadata.pop(computed, None)
    return store(
        state,
        path["destinationBucket"],
        path["destinationObject"],
        metadata,
        content_of(state, source),
        query,
    )
