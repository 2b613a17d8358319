"""Cloud Storage: an object's bytes as a download has them (storage.v1)."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from tunestack.emulator.call import FilePart, Reply
from tunestack.emulator.errors import ApiError
from tunestack.emulator.services.storage import digest_of, object_etag
from tunestack.emulator.state import State

Json = dict[str, Any]

_READ_WHOLE = 1 << 20


def download(state: State, asked: Mapping[str, str], body: Json) -> Reply:
    """The content of an object, or the part of it that the headers ask for (names in lower case).

    What is stored as gzip is unpacked for who does not say that it can do so, ranges aside
    (cloud.google.com/storage/docs/transcoding#decompressive_transcoding).
    """
    size = int(body["size"])
    hashes = [f"crc32c={body['crc32c']}"] + ([f"md5={body['md5Hash']}"] if "md5Hash" in body else [])
    headers = {
        "accept-ranges": "bytes",
        "content-type": body["contentType"],
        "etag": object_etag(body),
        "last-modified": datetime.fromisoformat(body["updated"]).strftime("%a, %d %b %Y %H:%M:%S GMT"),
        "x-goog-generation": body["generation"],
        "x-goog-hash": ",".join(hashes),
        "x-goog-metageneration": body["metageneration"],
        "x-goog-storage-class": body["storageClass"],
        "x-goog-stored-content-encoding": body.get("contentEncoding", "identity"),
        "x-goog-stored-content-length": body["size"],
    }
    for field, header in (
        ("contentEncoding", "content-encoding"),
        ("contentDisposition", "content-disposition"),
        ("contentLanguage", "content-language"),
        ("cacheControl", "cache-control"),
    ):
        if body.get(field):
            headers[header] = body[field]
    if _is_unpacked(asked, body):
        del headers["content-encoding"]
        content = gzip.decompress(state.contents.path(digest_of(state, body)).read_bytes())
        return Reply(
            content, 200, {**headers, "warning": "214 UploadServer gunzipped", "vary": "Accept-Encoding"}
        )
    start, end, status = 0, size, 200
    wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", asked.get("range", ""))
    if wanted and any(wanted.groups()):
        first, last = wanted.groups()
        start = int(first) if first else max(0, size - int(last))
        end = min(int(last) + 1, size) if first and last else size
        if start >= end:
            raise ApiError("OUT_OF_RANGE", "The requested range cannot be satisfied.", code=416)
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
        status = 206
    path = state.contents.path(digest_of(state, body))
    if end - start <= _READ_WHOLE:
        with path.open("rb") as file:
            file.seek(start)
            return Reply(file.read(end - start), status, headers)
    return Reply(FilePart(path, start, end - start), status, headers)


def _is_unpacked(asked: Mapping[str, str], body: Json) -> bool:
    if body.get("contentEncoding") != "gzip" or "no-transform" in body.get("cacheControl", ""):
        return False
    return "gzip" not in asked.get("accept-encoding", "")
