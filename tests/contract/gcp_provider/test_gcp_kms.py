"""Key rings and keys stay at Google for ever: what a stack that was taken down finds when it is made again."""

from __future__ import annotations

import grpc
import pytest

RING = "gcp:kms/keyRing:KeyRing"
KEY = "gcp:kms/cryptoKey:CryptoKey"
LOCATION = "europe-west4"


async def refused(engine, *what, **inputs):
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await engine.up(*what, **inputs)
    assert error.value.code() == grpc.StatusCode.ALREADY_EXISTS
    return error.value.details()


async def test_what_was_taken_down_is_still_there_and_is_imported_not_adopted(engine, google, project):
    ring = {"name": "ring", "location": LOCATION}
    await engine.up(RING, "ring", **ring)
    identity = engine.state["ring"].id
    key = {"name": "key", "keyRing": identity, "rotationPeriod": "7776000s"}
    await engine.up(KEY, "key", **key)
    await engine.delete("key")
    await engine.delete("ring")
    kept = (await google.get(f"/v1/{identity}/cryptoKeys/key")).json()
    versions = (await google.get(f"/v1/{identity}/cryptoKeys/key/cryptoKeyVersions")).json()[
        "cryptoKeyVersions"
    ]
    assert ("rotationPeriod" in kept, [version["state"] for version in versions]) == (
        False,
        ["DESTROY_SCHEDULED"],
    )

    words = await refused(engine, RING, "ring", **ring)
    assert f"googleapi: Error 409: KeyRing {identity} already exists" in words
    assert "Cloud KMS deletes neither key rings nor keys" in words
    assert f"pulumi import {RING} ring {identity}" in words
    assert await engine.import_(RING, "ring", identity) is not None
    assert await engine.up(RING, "ring", **ring) == "same"

    words = await refused(engine, KEY, "key", **key)
    assert "all versions are destroyed" in words
    assert f"pulumi import {KEY} key {identity}/cryptoKeys/key" in words
    assert await engine.import_(KEY, "key", f"{identity}/cryptoKeys/key") is not None
    assert await engine.up(KEY, "key", **key) == "update"  # its rotation was stopped
    assert await engine.up(KEY, "key", **key) == "same"


async def test_a_name_that_was_made_up_is_taken_as_well(engine):
    await engine.up(RING, "ring", location=LOCATION)
    await engine.delete("ring")
    assert "another name" in await refused(engine, RING, "ring", location=LOCATION)
