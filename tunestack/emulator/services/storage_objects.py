"""Cloud Storage: objects, their generations and contents (storage.v1)."""

from __future__ import annotations

import base64
import binascii
import fnmatch
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import orjson

from tunestack.emulator.call import Call, FilePart, Reply, implements
from tunestack.emulator.contents import Content, file_pieces
from tunestack.emulator.errors import ApiError, invalid
from tunestack.emulator.schema import merge_patch
from tunestack.emulator.services.customer_keys import check_readable, storage_key_version
from tunestack.emulator.services.storage import (
    check_preconditions,
    digest_of,
    find_object,
    get_bucket,
    get_object,
    object_etag,
    shown_object,
)
from tunestack.emulator.services.storage_notifications import announce
from tunestack.emulator.state import State

Json = dict[str, Any]

_WRITABLE = {
    "acl",
    "cacheControl",
    "contentDisposition",
    "contentEncoding",
    "contentLanguage",
    "contentType",
    "contexts",
    "customTime",
    "eventBasedHold",
    "metadata",
    "retention",
    "storageClass",
    "temporaryHold",
}
_NEWEST = 2**63 - 1
_READ_WHOLE = 1 << 20


def store(
    state: State, bucket: str, name: str, metadata: Json, content: Content, query: Json | None = None
) -> Json:
    """Make ``content`` the live object ``name``, under the preconditions in ``query``. Its resource.

    The object that was live becomes a noncurrent generation where the bucket keeps versions, else it goes.
    """
    bucket_row = get_bucket(state, bucket)
    if not name or len(name.encode()) > 1024 or name in (".", "..") or "\r" in name or "\n" in name:
        raise invalid(f"Invalid object name: '{name}'")
    for field in ("md5Hash", "crc32c"):
        have = content.md5 if field == "md5Hash" else content.crc32c
        if metadata.get(field) and metadata[field] != have:
            label = "MD5 hash" if field == "md5Hash" else "CRC32C"
            raise invalid(f'Provided {label} "{metadata[field]}" doesn\'t match calculated {label} "{have}".')
    key = _key_for(state, bucket_row, query or {})
    with state.database.transaction():
        live = find_object(state, bucket, name)
        check_preconditions(
            query or {},
            int(live["generation"]) if live else None,
            int(live["metageneration"]) if live else None,
        )
        if live:
            _retire(state, bucket_row, live)
        now = state.now()
        generation = state.database.next_number("generation", int(state.clock().timestamp() * 1_000_000))
        body = {
            **{key: value for key, value in metadata.items() if key in _WRITABLE},
            "name": name,
            "bucket": bucket,
            "generation": str(generation),
            "metageneration": "1",
            "contentType": metadata.get("contentType") or "application/octet-stream",
            "storageClass": metadata.get("storageClass") or bucket_row["storageClass"],
            "size": str(content.size),
            "crc32c": content.crc32c,
            "timeCreated": now,
            "updated": now,
            "timeStorageClassUpdated": now,
            "timeFinalized": now,
        }
        if content.md5:
            body["md5Hash"] = content.md5
        if key:
            body["kmsKeyName"] = key
        if "componentCount" in metadata:
            body["componentCount"] = metadata["componentCount"]
        state.database.execute(
            "INSERT INTO object VALUES (?, ?, ?, 1, ?, ?)",
            bucket,
            name,
            generation,
            content.digest,
            orjson.dumps(body),
        )
        overwrote = {"overwroteGeneration": live["generation"]} if live else {}
        announce(state, "OBJECT_FINALIZE", body, **overwrote)
    return body


def forget_unused(state: State, digest: str) -> None:
    """Remove a content that no object has (any more)."""
    if not state.database.one("SELECT 1 FROM object WHERE digest = ? LIMIT 1", digest):
        state.contents.forget(digest)


def read(state: State, bucket: str, name: str) -> bytes:
    """The content of the live object."""
    row = get_object(state, bucket, name)
    check_readable(state, row)
    return state.contents.read(digest_of(state, row))


@implements("storage.objects.get")
def get(call: Call) -> Json | Reply:
    body = _asked(call)
    if call.kind == "download" or call.incoming.parameter("alt") == "media":
        return _download(call, body)
    return shown_object(call, body)


@implements("storage.objects.list")
def list_objects(call: Call) -> Json:
    state, query = call.state, call.query
    bucket = call.path["bucket"]
    get_bucket(state, bucket)
    size = min(query.get("maxResults") or 1000, 1000)
    delimiter = query.get("delimiter")
    items: list[Json] = []
    prefixes: list[str] = []
    token = None
    last = ("", 0)
    for name, generation, body in _listed(call):
        if len(items) + len(prefixes) == size:
            token = base64.urlsafe_b64encode(orjson.dumps(last)).decode()
            break
        prefix = query.get("prefix", "")
        cut = name.find(delimiter, len(prefix)) if delimiter else -1
        if delimiter and cut >= 0:
            common = name[: cut + len(delimiter)]
            if common not in prefixes:
                prefixes.append(common)
            # On to whatever sorts after everything with this prefix.
            last = (common + "\U0010ffff", _NEWEST)
            if not (name == common and query.get("includeTrailingDelimiter")):
                continue
        items.append(shown_object(call, orjson.loads(body)))
        if not (delimiter and cut >= 0):
            last = (name, generation if query.get("versions") else _NEWEST)
    result: Json = {"kind": "storage#objects"}
    if items:
        result["items"] = items
    if prefixes:
        result["prefixes"] = prefixes
    return {**result, "nextPageToken": token} if token else result


@implements("storage.objects.patch")
def patch(call: Call) -> Json:
    body = _asked(call)
    return _changed(call, body, merge_patch(body, {k: v for k, v in call.body.items() if k in _WRITABLE}))


@implements("storage.objects.update")
def update(call: Call) -> Json:
    body = _asked(call)
    kept = {
        key: value
        for key, value in body.items()
        if key not in _WRITABLE or key in ("contentType", "storageClass")
    }
    return _changed(call, body, merge_patch(kept, {k: v for k, v in call.body.items() if k in _WRITABLE}))


@implements("storage.objects.delete")
def delete(call: Call) -> Reply:
    body = _asked(call)
    state = call.state
    if call.query.get("generation") is None:
        _retire(state, get_bucket(state, body["bucket"]), body)
    else:
        _remove(state, body)
    return Reply(None, 204)


@implements("storage.objects.copy")
def copy(call: Call) -> Json:
    return shown_object(call, _copied(call))


@implements("storage.objects.rewrite")
def rewrite(call: Call) -> Json:
    body = _copied(call)
    return {
        "kind": "storage#rewriteResponse",
        "done": True,
        "objectSize": body["size"],
        "totalBytesRewritten": body["size"],
        "resource": shown_object(call, body),
    }


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


def _asked(call: Call) -> Json:
    """The object that the path and ``generation`` name, with the preconditions checked."""
    body = get_object(call.state, call.path["bucket"], call.path["object"], call.query.get("generation"))
    check_preconditions(call.query, int(body["generation"]), int(body["metageneration"]))
    return body


def _changed(call: Call, before: Json, after: Json) -> Json:
    after["metageneration"] = str(int(before["metageneration"]) + 1)
    after["updated"] = call.state.now()
    call.state.database.execute(
        "UPDATE object SET body = ? WHERE bucket = ? AND name = ? AND generation = ?",
        orjson.dumps(after),
        before["bucket"],
        before["name"],
        int(before["generation"]),
    )
    announce(call.state, "OBJECT_METADATA_UPDATE", after)
    return shown_object(call, after)


def _retire(state: State, bucket: Json, body: Json) -> None:
    """The live object makes room: noncurrent in a versioned bucket, gone in another."""
    if not bucket.get("versioning", {}).get("enabled"):
        _remove(state, body)
        return
    if "timeDeleted" in body:
        return
    state.database.execute(
        "UPDATE object SET live = 0, body = ? WHERE bucket = ? AND name = ? AND generation = ?",
        orjson.dumps({**body, "timeDeleted": state.now()}),
        body["bucket"],
        body["name"],
        int(body["generation"]),
    )
    announce(state, "OBJECT_ARCHIVE", body)


def _remove(state: State, body: Json) -> None:
    digest = digest_of(state, body)
    state.database.after_commit(lambda: forget_unused(state, digest))
    state.database.execute(
        "DELETE FROM object WHERE bucket = ? AND name = ? AND generation = ?",
        body["bucket"],
        body["name"],
        int(body["generation"]),
    )
    announce(state, "OBJECT_DELETE", body)


def _copied(call: Call) -> Json:
    state, path, query = call.state, call.path, call.query
    source = get_object(state, path["sourceBucket"], path["sourceObject"], query.get("sourceGeneration"))
    check_preconditions(query, int(source["generation"]), int(source["metageneration"]), source=True)
    check_readable(state, source)
    metadata = call.body or {key: value for key, value in source.items() if key in _WRITABLE}
    metadata = {"contentType": source["contentType"], **metadata}
    for computed in ("md5Hash", "crc32c"):
        metadata.pop(computed, None)
    content = Content(digest_of(state, source), int(source["size"]), source.get("md5Hash"), source["crc32c"])
    return store(state, path["destinationBucket"], path["destinationObject"], metadata, content, query)


def _listed(call: Call) -> Iterator[tuple[str, int, bytes]]:
    """Rows in order from the page token on, filtered by prefix, offsets, glob and liveness."""
    query = call.query
    prefix = query.get("prefix", "")
    after: tuple[str, int] = ("", -1)
    if query.get("pageToken"):
        try:
            name, generation = orjson.loads(base64.urlsafe_b64decode(query["pageToken"]))
            after = (str(name), int(generation))
        except (binascii.Error, ValueError, TypeError):
            raise invalid("Invalid page token") from None
    glob = query.get("matchGlob")
    rows = call.state.database.execute(
        "SELECT name, generation, body FROM object WHERE bucket = ? AND (name, generation) > (?, ?)"
        " AND name >= ? AND name < ? AND (live OR ?) ORDER BY name, generation",
        call.path["bucket"],
        *after,
        max(prefix, query.get("startOffset", "")),
        min(prefix + "\U0010ffff", query.get("endOffset") or "\U0010ffff"),
        bool(query.get("versions")),
    )
    for name, generation, body in rows:
        if glob is None or fnmatch.fnmatchcase(name, glob):
            yield name, generation, body


def _key_for(state: State, bucket: Json, query: Json) -> str | None:
    """The version of the customer's key for a new object: the request's key, else the bucket's."""
    default = bucket.get("encryption", {}).get("defaultKmsKeyName")
    name = query.get("kmsKeyName") or query.get("destinationKmsKeyName") or default
    return storage_key_version(state, bucket["projectNumber"], bucket["location"], name) if name else None


def _download(call: Call, body: Json) -> Reply:
    check_readable(call.state, body)
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
    start, end, status = 0, size, 200
    wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", call.incoming.headers.get("range", ""))
    if wanted and any(wanted.groups()):
        first, last = wanted.groups()
        start = int(first) if first else max(0, size - int(last))
        end = min(int(last) + 1, size) if first and last else size
        if start >= end:
            raise ApiError("OUT_OF_RANGE", "The requested range cannot be satisfied.", code=416)
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
        status = 206
    path = call.state.contents.path(digest_of(call.state, body))
    if end - start <= _READ_WHOLE:
        with path.open("rb") as file:
            file.seek(start)
            return Reply(file.read(end - start), status, headers)
    return Reply(FilePart(path, start, end - start), status, headers)
