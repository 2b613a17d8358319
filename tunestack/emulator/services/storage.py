"""What the Cloud Storage files share: lookups, preconditions, links, and the errors' wording.

Words of the errors: answers of storage.googleapis.com as client libraries' tests quote them.
"""

from __future__ import annotations

import base64
import re
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import orjson

from tunestack.emulator.call import Call
from tunestack.emulator.errors import ApiError, invalid, not_found
from tunestack.emulator.services.storage_protection import shown_retention
from tunestack.emulator.state import State

Json = dict[str, Any]

BUCKETS = "buckets"


def bucket_name(name: str) -> str:
    """The row's name of a bucket; buckets are global, not a project's."""
    return f"buckets/{name}"


def get_bucket(state: State, name: str) -> Json:
    return state.rows.get(bucket_name(name), "The specified bucket does not exist.")


def check_preconditions(
    query: Json,
    generation: int | None,
    metageneration: int | None,
    source: bool = False,
    *,
    reads: bool = False,
) -> None:
    """412 (304 for the "not" forms where it ``reads``) unless the ``if…Match`` parameters hold.

    ``generation`` None means that there is no live object; ``ifGenerationMatch=0`` asks for just that.
    """
    prefix = "ifSource" if source else "if"
    for parameter, have, equal in (
        (f"{prefix}GenerationMatch", generation or 0, True),
        (f"{prefix}GenerationNotMatch", generation or 0, False),
        (f"{prefix}MetagenerationMatch", metageneration, True),
        (f"{prefix}MetagenerationNotMatch", metageneration, False),
    ):
        want = query.get(parameter)
        if want is not None and (have == want) is not equal:
            if reads and not equal:
                raise ApiError("FAILED_PRECONDITION", "Not Modified", code=304, reason="notModified")
            raise ApiError(
                "FAILED_PRECONDITION",
                "At least one of the pre-conditions you specified did not hold.",
                code=412,
                reason="conditionNotMet",
            )


_GLOB = {"**": ".*", "*": "[^/]*", "?": "[^/]"}


@lru_cache(maxsize=64)
def glob_pattern(glob: str) -> re.Pattern[str]:
    """What a ``matchGlob`` fits: ``*`` and ``?`` stop at a slash, ``**`` does not; ``[a-c]``, ``{one,two}``.

    cloud.google.com/storage/docs/json_api/v1/objects/list#list-objects-and-prefixes-using-glob
    """
    parts = re.split(r"(\*\*|\*|\?|\[[^\]]+\]|\{[^{}]*\})", glob)
    found = []
    for part in parts:
        if part.startswith("{") and part.endswith("}"):
            found.append(f"(?:{'|'.join(re.escape(each) for each in part[1:-1].split(','))})")
        elif part.startswith("[") and part.endswith("]"):
            found.append("[^" + part[2:] if part[1] in "!^" else part)
        else:
            found.append(_GLOB.get(part, re.escape(part)))
    try:
        return re.compile("".join(found), re.DOTALL)
    except re.error:
        raise invalid(f"Invalid glob pattern: {glob}") from None


def find_object(state: State, bucket: str, name: str, generation: int | None = None) -> Json | None:
    if generation is None:
        row = state.database.one(
            "SELECT body FROM object WHERE bucket = ? AND name = ? AND live", bucket, name
        )
    else:
        row = state.database.one(
            "SELECT body FROM object WHERE bucket = ? AND name = ? AND generation = ?",
            bucket,
            name,
            generation,
        )
    return orjson.loads(row[0]) if row else None


def get_object(state: State, bucket: str, name: str, generation: int | None = None) -> Json:
    body = find_object(state, bucket, name, generation)
    if body is None:
        get_bucket(state, bucket)
        raise not_found(f"No such object: {bucket}/{name}" + (f"#{generation}" if generation else ""))
    return body


def digest_of(state: State, body: Json) -> str:
    row = state.database.one(
        "SELECT digest FROM object WHERE bucket = ? AND name = ? AND generation = ?",
        body["bucket"],
        body["name"],
        int(body["generation"]),
    )
    if row is None:
        raise not_found(f"No such object: {body['bucket']}/{body['name']}")
    return str(row[0])


def shown_object(call: Call, body: Json) -> Json:
    """The resource with what depends on the address it was asked at."""
    base = call.incoming.base_url
    path = f"b/{body['bucket']}/o/{quote(body['name'], safe='')}"
    return {
        "kind": "storage#object",
        "id": f"{body['bucket']}/{body['name']}/{body['generation']}",
        "selfLink": f"{base}/storage/v1/{path}",
        "mediaLink": f"{base}/download/storage/v1/{path}?generation={body['generation']}&alt=media",
        **body,
        **shown_retention(get_bucket(call.state, body["bucket"]), body),
        "etag": object_etag(body),
    }


def object_etag(body: Json) -> str:
    return base64.b64encode(f"{body['generation']}/{body['metageneration']}".encode()).decode()


def parse_gs_uri(uri: str) -> tuple[str, str]:
    """Bucket and name of ``gs://bucket/name``. Raises `ValueError`."""
    scheme, _, rest = uri.partition("://")
    bucket, _, name = rest.partition("/")
    if scheme != "gs" or not bucket:
        raise ValueError(f"{uri!r} is not gs://bucket/name")
    return bucket, name
