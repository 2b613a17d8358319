"""gcp.storage.BucketObject: https://cloud.google.com/storage/docs/json_api/v1/objects."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from tunestack.emulator.gcp_provider.declared import declared
from tunestack.emulator.gcp_provider.difference import Change
from tunestack.emulator.gcp_provider.errors import ProviderError
from tunestack.emulator.gcp_provider.lifecycle import Found, Lifecycle, State
from tunestack.emulator.gcp_provider.mapping import Json, encode
from tunestack.emulator.gcp_provider.rest import GoogleError
from tunestack.emulator.gcp_provider.schema import Autoname, Call, ResourceType, expand
from tunestack.emulator.gcp_provider.values import ARCHIVE, SIGNATURE, Value, has_unknown, is_asset

#: Up to this size an upload is one request, as in Google's Go client (googleapi.DefaultUploadChunkSize).
CHUNK_BYTES = 16 * 1024 * 1024
_BOUNDARY = "tunestack-related"
_UPLOAD = Call("POST", "b/{bucket}/o?name={name}&uploadType=")


class BucketObjectLifecycle(Lifecycle):
    """An object is written by an upload, and whole: what is not content or a hold makes a new one."""

    def check(
        self, name: str, seed: bytes, olds: State, news: State
    ) -> tuple[dict[str, Value], list[tuple[str, str]]]:
        inputs, failures = super().check(name, seed, olds, news)
        given = [key for key in ("source", "content") if inputs.get(key) is not None]
        if len(given) != 1:
            failures.append(("content", "exactly one of source and content is required"))
        asset = inputs.get("source")
        if isinstance(asset, dict) and asset.get(SIGNATURE) == ARCHIVE:
            failures.append(("source", "is an archive; the stand-in uploads files and texts only"))
        elif isinstance(asset, dict) and asset.get("uri"):
            failures.append(
                ("source", f"is on the network ({asset['uri']}); the stand-in reads local files only")
            )
        elif isinstance(asset, dict) and asset.get("path") and not Path(asset["path"]).is_file():
            failures.append(("source", f"no file {asset['path']} (from {Path.cwd()})"))
        return inputs, failures

    def diff(self, state: State, inputs: State) -> list[Change]:
        """As the table says, and where the stored bytes are not the program's: someone else wrote the object.

        The Pulumi CLI asks with the asset's digest only, without its path. Then the state tells: a read that
        found other bytes has taken the source out of it.
        """
        found = super().diff(state, inputs)
        strange = state.get("source") is None and is_asset(inputs.get("source"))
        if strange:
            found = [change for change in found if change.property != "source"]
        if (media := _media(inputs)) is not None:
            strange = state.get("md5hash") != _md5(media)
        told = {"source", "content", "sourceMd5hash"} & {change.property for change in found}
        if strange and not told and not inputs.get("sourceMd5hash"):
            found.append(Change("detectMd5hash", "update"))
        return found

    async def read(self, identity: str, state: State, inputs: State) -> Found | None:
        found = await super().read(identity, state, inputs)
        if found is not None and state:
            overwritten = state.get("md5hash") != found.outputs.get("md5hash")
            if overwritten or state.get("source") is None:
                found.outputs.pop("source", None)
        return found

    async def create(self, name: str, inputs: State, seconds: float) -> tuple[str, dict[str, Value]]:
        variables = self.variables(inputs)
        try:
            await self._upload(variables, inputs)
            return expand(self.type.id, variables), self.outputs(await self.fetch(variables), inputs, {})
        except GoogleError as error:
            self.fail("uploading", error, name=name, variables=variables)

    def update_body(self, difference: list[Change], state: State, inputs: State) -> Json:
        return {}  # an upload or a PUT of the whole resource instead, below

    async def after_update(self, variables: State, difference: list[Change], inputs: State) -> None:
        names = {change.property for change in difference}
        if names & {"content", "source", "detectMd5hash", "sourceMd5hash"}:
            await self._upload(variables, inputs)
        elif names & {"retention", "eventBasedHold", "temporaryHold", "contexts"}:
            mutable = [item for item in self.type.properties if item.name in names]
            whole = await self.fetch(variables)
            for item in mutable:
                whole.pop((item.path or ("",))[0], None)
            override = "?overrideUnlockedRetention=true" if "retention" in names else ""
            put = Call("PUT", "b/{bucket}/o/{name}" + override)
            await self.rest.call("storage", put, variables, {**whole, **encode(mutable, inputs)})

    async def _upload(self, variables: State, inputs: State) -> None:
        """Write the object, unless it is there already with the same bytes and metadata."""
        media = _media(inputs)
        if media is None:
            raise ProviderError(
                "INVALID_ARGUMENT", f"source of {variables.get('name')} cannot be read any more"
            )
        metadata = {**self.creation_body(inputs), "name": variables["name"]}
        try:
            current = await self.fetch(variables)
        except GoogleError as error:
            if error.http_status != 404:
                raise
            current = {}
        kept = all(current.get(key) == value for key, value in metadata.items())
        if kept and current.get("md5Hash") == _md5(media):
            return
        kind = metadata.get("contentType") or ("" if inputs.get("forceEmptyContentType") else sniffed(media))
        address = self.rest.address("storage", _UPLOAD.url, variables).replace(
            "/storage/", "/upload/storage/", 1
        )
        if len(media) <= CHUNK_BYTES:
            await self.rest.request(
                "POST",
                address + "multipart",
                content=_related(metadata, kind, media),
                headers={"content-type": f"multipart/related; boundary={_BOUNDARY}"},
            )
        else:
            await self._upload_in_chunks(address + "resumable", metadata, kind, media)

    async def _upload_in_chunks(self, address: str, metadata: Json, kind: str, media: bytes) -> None:
        headers = {"x-upload-content-type": kind, "x-upload-content-length": str(len(media))}
        session = await self.rest.send("POST", address, body=metadata, headers=headers)
        if session.is_error or "location" not in session.headers:
            raise GoogleError(session.status_code, session.text[:500] or "no upload session")
        for start in range(0, len(media), CHUNK_BYTES):
            end = min(start + CHUNK_BYTES, len(media))
            part = await self.rest.send(
                "PUT",
                session.headers["location"],
                content=media[start:end],
                headers={"content-range": f"bytes {start}-{end - 1}/{len(media)}"},
            )
            if part.is_error or (part.status_code == 308) == (end == len(media)):
                raise GoogleError(part.status_code, part.text[:500] or "upload was cut off")


def sniffed(media: bytes) -> str:
    """The content type that the real provider's upload would guess (its two documented answers)."""
    try:
        text = media[:512].decode("utf-8", errors="strict" if len(media) <= 512 else "ignore")
    except UnicodeDecodeError:
        return "application/octet-stream"
    return "application/octet-stream" if "\0" in text else "text/plain; charset=utf-8"


def _media(inputs: State) -> bytes | None:
    """The bytes that the program wants stored; None where they are unknown, untold, or their file is gone."""
    content, asset = inputs.get("content"), inputs.get("source")
    if isinstance(content, str) and not has_unknown(content):
        return content.encode()
    if not isinstance(asset, dict) or has_unknown(asset):
        return None
    if asset.get("path"):
        try:
            return Path(asset["path"]).read_bytes()
        except OSError:
            return None
    return str(asset["text"]).encode() if "text" in asset else None


def _md5(media: bytes) -> str:
    return base64.b64encode(hashlib.md5(media, usedforsecurity=False).digest()).decode()


def _related(metadata: Json, kind: str, media: bytes) -> bytes:
    start = (
        f"--{_BOUNDARY}\r\ncontent-type: application/json\r\n\r\n{json.dumps(metadata)}\r\n--{_BOUNDARY}\r\n"
    )
    head = f"{start}content-type: {kind}\r\n\r\n" if kind else f"{start}\r\n"
    return head.encode() + media + f"\r\n--{_BOUNDARY}--\r\n".encode()


def _hex_of(md5: Any) -> str | None:
    return base64.b64decode(md5).hex() if md5 else None


_TYPE = "gcp:storage/bucketObject:BucketObject"

BUCKET_OBJECT = ResourceType(
    name=_TYPE,
    service="storage",
    id="{bucket}-{name}",
    autoname=Autoname(),
    create=_UPLOAD,
    read=Call("GET", "b/{bucket}/o/{name}"),
    delete=Call("DELETE", "b/{bucket}/o/{name}"),
    lifecycle=BucketObjectLifecycle,
    refused={"customerEncryption": "the emulator does not encrypt"},
    properties=declared(
        _TYPE,
        refused="customerEncryption",
        address="source content sourceMd5hash forceEmptyContentType",
        replaces="""bucket name source cacheControl contentDisposition contentEncoding contentLanguage contentType
            forceEmptyContentType metadata storageClass kmsKeyName""",
        server="detectMd5hash contentType storageClass kmsKeyName",
        output="contexts.customs.createTime contexts.customs.updateTime",
        unordered="contexts.customs",
        volatile="detectMd5hash crc32c md5hash md5hexhash mediaLink",
        rest={
            "detectMd5hash": "md5Hash",
            "md5hash": "md5Hash",
            "md5hexhash": "md5Hash",
            "outputName": "name",
        },
        also={
            # Says what is stored; whether that is what the program wants is seen by its bytes, not by this value.
            "detectMd5hash": {"canonical": lambda _: "", "encode": lambda _: None},
            "kmsKeyName": {"canonical": lambda key: str(key).partition("/cryptoKeyVersions/")[0]},
            "contexts.customs": {"rest": "custom", "keyed_by": "key", "required": False},
            "md5hexhash": {"decode": _hex_of},
            "outputName": {"derived": "{name}"},
        },
    ),
)
