"""Secrets of Secret Manager: what they hold stays hidden, and what is beside the types' common life."""

from __future__ import annotations

import grpc
import pytest

SECRET = "gcp:secretmanager/secret:Secret"
VERSION = "gcp:secretmanager/secretVersion:SecretVersion"
AUTO = {"replication": {"auto": {}}}


@pytest.fixture
async def secret(engine):
    await engine.up(SECRET, "token", secretId="token", **AUTO)
    return engine.state["token"].id


async def test_what_a_version_holds_is_a_secret_of_the_state_though_the_program_does_not_say_so(
    engine, secret
):
    await engine.up(VERSION, "held", secret=secret, secretData="hf_x")
    held = engine.state["held"]
    assert "secretData" in held.secrets
    assert (held["secretData"], held["version"], held["enabled"]) == ("hf_x", "1", True)
    await engine.up(VERSION, "bytes", secret=secret, secretData="AAH/", isSecretDataBase64=True)
    assert engine.state["bytes"]["secretData"] == "AAH/"
    assert await engine.refresh("bytes") == {}


async def test_a_version_goes_as_its_deletion_policy_says(engine, google, secret):
    for number, (policy, state) in enumerate(
        (("DELETE", "DESTROYED"), ("DISABLE", "DISABLED"), ("ABANDON", "ENABLED")), 1
    ):
        await engine.up(VERSION, policy, secret=secret, secretData="hf_x", deletionPolicy=policy)
        await engine.delete(policy)
        assert (await google.get(f"/v1/{secret}/versions/{number}")).json()["state"] == state


async def test_a_version_that_someone_destroyed_is_made_again(engine, google, secret):
    await engine.up(VERSION, "held", secret=secret, secretData="hf_x")
    assert (await google.post(f"/v1/{secret}/versions/1:destroy", json={})).is_success
    assert await engine.refresh("held") is None
    assert await engine.up(VERSION, "held", secret=secret, secretData="hf_x") == "create"
    assert engine.state["held"]["version"] == "2"


async def test_a_protected_secret_stays(engine):
    await engine.up(SECRET, "token", deletionProtection=True, **AUTO)
    there = engine.state["token"]
    with pytest.raises(grpc.aio.AioRpcError, match="deletionProtection=false"):
        await engine.delete("token")
    engine.state["token"] = there
    assert await engine.up(SECRET, "token", **AUTO) == "update"
    await engine.delete("token")


async def test_annotations_of_others_are_no_drift_and_survive_a_change(engine, google, secret):
    ours = {"secretId": "token", **AUTO, "annotations": {"of": "the hub"}}
    await engine.up(SECRET, "token", **ours)
    theirs = {"annotations": {"of": "the hub", "by": "someone"}}
    assert (await google.patch(f"/v1/{secret}?updateMask=annotations", json=theirs)).is_success
    assert await engine.refresh("token") == {}
    assert await engine.up(SECRET, "token", **{**ours, "annotations": {"of": "the webhook"}}) == "update"
    kept = (await google.get(f"/v1/{secret}")).json()["annotations"]
    assert kept == {"of": "the webhook", "by": "someone"}


async def test_the_key_of_a_replication_changes_in_place(engine, project):
    await engine.up("gcp:kms/keyRing:KeyRing", "ring", name="ring", location="global")
    keys = []
    for name in ("one", "two"):
        await engine.up("gcp:kms/cryptoKey:CryptoKey", name, name=name, keyRing=engine.state["ring"].id)
        keys.append(engine.state[name].id)
    for key, done in zip(keys, ("create", "update"), strict=True):
        policy = {"auto": {"customerManagedEncryption": {"kmsKeyName": key}}}
        assert await engine.up(SECRET, "token", secretId="token", replication=policy) == done
        assert await engine.refresh("token") == {}
