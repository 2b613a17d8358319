"""Cloud Storage: signed URLs (V4, RSA), checked against the keys of the account that signed.

cloud.google.com/storage/docs/authentication/canonical-requests and …/signatures. They are calls of the XML API:
errors are XML, in the words of storage.googleapis.com. Read, written and deleted is by path (``/BUCKET/OBJECT``); what
else the XML API has is not played.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape

from tunestack.emulator.call import Incoming, Reply
from tunestack.emulator.environment import credentials_path
from tunestack.emulator.errors import ApiError
from tunestack.emulator.services.customer_keys import check_readable
from tunestack.emulator.services.iam_service_account_keys import KEYS
from tunestack.emulator.services.storage import check_preconditions, find_object, get_bucket
from tunestack.emulator.services.storage_downloads import download
from tunestack.emulator.services.storage_objects import apply_lifecycle, retire_object, store
from tunestack.emulator.state import State

Json = dict[str, Any]

_ALGORITHM = "GOOG4-RSA-SHA256"
_SECONDS_AT_MOST = 604_800
_FIELDS = ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature")
_PERMISSIONS = {
    "GET": "storage.objects.get",
    "HEAD": "storage.objects.get",
    "PUT": "storage.objects.create",
    "DELETE": "storage.objects.delete",
}
_CODES = {
    "NOT_FOUND": "NoSuchKey",
    "PERMISSION_DENIED": "AccessDenied",
    "FAILED_PRECONDITION": "PreconditionFailed",
    "UNIMPLEMENTED": "NotImplemented",
}
# What a header sets of an object that is put.
_METADATA = {
    "cache-control": "cacheControl",
    "content-disposition": "contentDisposition",
    "content-encoding": "contentEncoding",
    "content-language": "contentLanguage",
    "content-type": "contentType",
    "x-goog-storage-class": "storageClass",
}


class _Refused(Exception):
    """An answer of the XML API that is an error."""

    def __init__(self, code: str, status: int, message: str, **more: str) -> None:
        super().__init__(message)
        self.code, self.status, self.message, self.more = code, status, message, more


def is_signed(incoming: Incoming) -> bool:
    """Whether a request carries a signature in its query."""
    return any(key.lower() in ("x-goog-signature", "googleaccessid") for key, _ in incoming.query)


def method_of(incoming: Incoming) -> str:
    """What the request log calls it: the XML API has no ids."""
    return f"storage.xml.{incoming.verb.lower()}"


async def answer(state: State, incoming: Incoming) -> tuple[Reply, str]:
    """The reply, and who signed."""
    email = ""
    try:
        bucket, _, name = unquote(incoming.raw_path).lstrip("/").partition("/")
        email = _signer(state, incoming)
        return await _do(state, incoming, email, bucket, name), email
    except _Refused as error:
        return _refusal(error), email
    except ApiError as error:
        code = (
            "NoSuchBucket"
            if "bucket" in error.message and error.code == 404
            else _CODES.get(error.status, "")
        )
        return _refusal(_Refused(code or "InvalidArgument", error.code, error.message)), email


async def _do(state: State, incoming: Incoming, email: str, bucket: str, name: str) -> Reply:
    row = get_bucket(state, bucket)
    permission = _PERMISSIONS.get(incoming.verb)
    if permission is None or not name or "x-goog-resumable" in incoming.headers:
        text = f"{incoming.verb} of the XML API is not implemented by the tunestack emulator"
        raise _Refused("NotImplemented", 501, text)
    apply_lifecycle(state, row)
    generation = incoming.parameter("generation")
    before = find_object(state, bucket, name, int(generation) if generation else None)
    overwrites = incoming.verb == "PUT" and before is not None
    for needed in (permission, *(["storage.objects.delete"] if overwrites else [])):
        if problem := state.access.problem_with_object(email, needed, bucket, name):
            raise _Refused("AccessDenied", 403, "Access denied.", Details=problem)
    if incoming.verb == "PUT":
        return await _put(state, incoming, bucket, name)
    if before is None:
        raise _Refused("NoSuchKey", 404, "The specified key does not exist.")
    _check_preconditions(incoming, before)
    if incoming.verb == "DELETE":
        with state.database.transaction():
            retire_object(state, row, before)
        return Reply(None, 204)
    check_readable(state, before)
    reply = download(state, incoming.headers, before)
    for parameter in ("content-type", "content-disposition"):
        if asked := incoming.parameter(f"response-{parameter}"):
            reply.headers[parameter] = asked
    if incoming.verb == "HEAD":
        return Reply(None, reply.status, {**reply.headers, "content-length": before["size"]})
    return reply


async def _put(state: State, incoming: Incoming, bucket: str, name: str) -> Reply:
    headers = incoming.headers
    content = await state.contents.receive(incoming.stream())
    limits = headers.get("x-goog-content-length-range")
    if limits:
        least, most = (int(part) for part in limits.split(","))
        if not least <= content.size <= most:
            state.contents.forget(content.digest)
            code = "EntityTooLarge" if content.size > most else "EntityTooSmall"
            raise _Refused(
                code,
                400,
                f"Your proposed upload {'exceeds' if content.size > most else 'is below'} the limit.",
            )
    prefix = "x-goog-meta-"
    metadata: Json = {field: headers[header] for header, field in _METADATA.items() if header in headers}
    custom = {key.removeprefix(prefix): value for key, value in headers.items() if key.startswith(prefix)}
    if custom:
        metadata["metadata"] = custom
    if "content-md5" in headers:
        metadata["md5Hash"] = headers["content-md5"]
    query: Json = {}
    for word, parameter in (("generation", "ifGenerationMatch"), ("metageneration", "ifMetagenerationMatch")):
        if f"x-goog-if-{word}-match" in headers:
            query[parameter] = int(headers[f"x-goog-if-{word}-match"])
    body = store(state, bucket, name, metadata, content, query)
    hashes = f"crc32c={body['crc32c']}" + (f",md5={body['md5Hash']}" if "md5Hash" in body else "")
    return Reply(
        None,
        200,
        {
            "etag": f'"{content.digest[:32]}"',
            "x-goog-generation": body["generation"],
            "x-goog-metageneration": body["metageneration"],
            "x-goog-hash": hashes,
            "x-goog-stored-content-length": body["size"],
        },
    )


def _check_preconditions(incoming: Incoming, before: Json) -> None:
    query: Json = {}
    for word, parameter in (("generation", "ifGenerationMatch"), ("metageneration", "ifMetagenerationMatch")):
        if f"x-goog-if-{word}-match" in incoming.headers:
            query[parameter] = int(incoming.headers[f"x-goog-if-{word}-match"])
    check_preconditions(query, int(before["generation"]), int(before["metageneration"]))


def _signer(state: State, incoming: Incoming) -> str:
    """The account that signed the request. Raises `_Refused` where nobody who may did."""
    signed = {key.lower(): value for key, value in incoming.query}
    if "googleaccessid" in signed:
        raise _Refused("NotImplemented", 501, "the tunestack emulator checks signatures of version 4 alone")
    found = {field: signed.get(f"x-goog-{field.lower()}", "") for field in _FIELDS}
    if found["Algorithm"] != _ALGORITHM:
        text = f"the tunestack emulator checks {_ALGORITHM} alone, not {found['Algorithm'] or 'none'}"
        raise _Refused("NotImplemented", 501, text)
    email, _, scope = found["Credential"].partition("/")
    try:
        date = datetime.strptime(found["Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        seconds = int(found["Expires"])
        signature = bytes.fromhex(found["Signature"])
    except ValueError:
        raise _Refused("AuthenticationRequired", 400, "Authentication required.") from None
    if scope.split("/")[::3] != [f"{date:%Y%m%d}", "goog4_request"]:
        raise _Refused(
            "InvalidArgument", 400, "Invalid argument.", Details=f"Invalid credential scope: {scope}"
        )
    if not 0 < seconds <= _SECONDS_AT_MOST:
        text = f"X-Goog-Expires must be at most {_SECONDS_AT_MOST}."
        raise _Refused("InvalidArgument", 400, "Invalid argument.", Details=text)
    names = found["SignedHeaders"].split(";")
    for header in incoming.headers:
        if header.startswith("x-goog-") and header not in names:
            text = f"Header {header} was included in the request but not signed."
            raise _Refused(
                "MalformedSecurityHeader", 400, "Your request has a malformed header.", Details=text
            )
    canonical = _canonical_request(incoming, names)
    text = "\n".join([_ALGORITHM, found["Date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    if not any(_verifies(key, signature, text.encode()) for key in _public_keys(state, email)):
        raise _Refused(
            "SignatureDoesNotMatch",
            403,
            "The request signature we calculated does not match the signature you provided. Check your Google secret"
            " key and signing method.",
            StringToSign=text,
            CanonicalRequest=canonical,
        )
    ends = date + timedelta(seconds=seconds)
    if state.clock() > ends:
        text = f"Request signature expired at: {ends.isoformat()}"
        raise _Refused("ExpiredToken", 400, "The provided token has expired.", Details=text)
    return email


def _canonical_request(incoming: Incoming, names: list[str]) -> str:
    query = sorted(
        (quote(key, safe="-_.~"), quote(value, safe="-_.~"))
        for key, value in incoming.query
        if key.lower() != "x-goog-signature"
    )
    headers = {name: " ".join(incoming.headers.get(name, "").split()) for name in names}
    return "\n".join(
        [
            incoming.verb,
            incoming.raw_path,
            "&".join(f"{key}={value}" for key, value in query),
            *(f"{name}:{headers[name]}" for name in names),
            "",
            ";".join(names),
            headers.get("x-goog-content-sha256", "UNSIGNED-PAYLOAD"),
        ]
    )


def _public_keys(state: State, email: str) -> Iterator[Any]:
    """The keys that an account may sign with: those that were made for it, and the one in its local credentials."""
    from cryptography.hazmat.primitives import serialization

    if not state.access.exists(email):
        return
    for row in state.rows.list(KEYS, email):
        if not row.get("disabled"):
            yield serialization.load_pem_public_key(row["_public"].encode())
    path = credentials_path(state.options.data, None if email == state.options.account else email)
    if path.exists():
        pem = json.loads(path.read_text())["private_key"].encode()
        yield serialization.load_pem_private_key(pem, None).public_key()


def _verifies(key: Any, signature: bytes, text: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        key.verify(signature, text, PKCS1v15(), SHA256())
    except InvalidSignature:
        return False
    return True


def _refusal(error: _Refused) -> Reply:
    fields = {"Code": error.code, "Message": error.message, **error.more}
    inner = "".join(f"<{name}>{escape(text)}</{name}>" for name, text in fields.items())
    body = f"<?xml version='1.0' encoding='UTF-8'?><Error>{inner}</Error>"
    return Reply(body.encode(), error.status, {"content-type": "application/xml; charset=UTF-8"})
