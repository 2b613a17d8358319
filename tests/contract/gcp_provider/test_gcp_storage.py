"""Buckets and objects through the stand-in, against a real emulator process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from tunestack.emulator.gcp_provider import values

BUCKET = "gcp:storage/bucket:Bucket"
OBJECT = "gcp:storage/bucketObject:BucketObject"


def bucket_inputs(**more: Any) -> dict[str, Any]:
    """A bucket as infra/storage.py declares it."""
    return {
        "location": "us-central1",
        "uniformBucketLevelAccess": True,
        "publicAccessPrevention": "enforced",
        "versioning": {"enabled": True},
        "labels": {"team": "ml", "purpose": "datasets"},
        **more,
    }


def file_asset(path: Path, digest: str) -> dict[str, Any]:
    return {values.SIGNATURE: values.ASSET, "path": str(path), "hash": digest}


async def test_a_preview_knows_the_buckets_name_and_address_and_nothing_of_the_server(engine):
    planned = await engine.preview(BUCKET, "data", **bucket_inputs())
    assert planned["name"].startswith("data-")
    assert planned["url"] == f"gs://{planned['name']}"
    assert not planned.keys() & {"selfLink", "projectNumber", "timeCreated", "updated"}


async def test_the_name_of_the_preview_is_the_name_that_is_created(engine, google):
    planned = await engine.preview(BUCKET, "data", **bucket_inputs())
    assert await engine.up(BUCKET, "data", **bucket_inputs()) == "create"
    assert engine.state["data"].id == planned["name"]
    stored = (await google.get(f"/storage/v1/b/{planned['name']}")).json()
    assert stored["location"] == "US-CENTRAL1"
    assert stored["versioning"] == {"enabled": True}
    assert stored["labels"] == {"team": "ml", "purpose": "datasets", "goog-pulumi-provisioned": "true"}
    assert stored["iamConfiguration"]["uniformBucketLevelAccess"]["enabled"] is True


async def test_a_second_up_and_a_refresh_of_a_bucket_show_no_change(engine):
    await engine.up(BUCKET, "data", **bucket_inputs())
    assert await engine.up(BUCKET, "data", **bucket_inputs()) == "same"
    assert await engine.refresh("data") == {}
    assert await engine.up(BUCKET, "data", **bucket_inputs()) == "same"


async def test_a_changed_label_is_patched_and_a_dropped_one_is_gone(engine, google):
    await engine.up(BUCKET, "data", **bucket_inputs())
    assert await engine.up(BUCKET, "data", **bucket_inputs(labels={"team": "nlp"})) == "update"
    stored = (await google.get(f"/storage/v1/b/{engine.state['data'].id}")).json()
    assert stored["labels"] == {"team": "nlp", "goog-pulumi-provisioned": "true"}
    assert await engine.up(BUCKET, "data", **bucket_inputs(labels={"team": "nlp"})) == "same"


async def test_a_label_changed_behind_its_back_is_found_by_name_and_put_right(engine, google):
    await engine.up(BUCKET, "data", **bucket_inputs())
    address = f"/storage/v1/b/{engine.state['data'].id}"
    await google.patch(address, json={"labels": {"team": "someone", "purpose": None, "extra": "1"}})
    assert await engine.refresh("data") == {"labels.team": "update", "labels.purpose": "add"}
    assert await engine.up(BUCKET, "data", **bucket_inputs()) == "update"
    # What others added stays: the program manages its own labels only.
    assert (await google.get(address)).json()["labels"] == {
        "team": "ml",
        "purpose": "datasets",
        "extra": "1",
        "goog-pulumi-provisioned": "true",
    }
    assert await engine.refresh("data") == {}


@pytest.mark.parametrize(
    ("before", "after", "where"),
    [
        (
            {"lifecycleRules": [{"action": {"type": "Delete"}, "condition": {"age": 3}}]},
            {"lifecycleRules": [{"action": {"type": "Delete"}, "condition": {"age": 5}}]},
            {"lifecycleRules[0].condition.age": "update"},
        ),
        (
            {
                "lifecycleRules": [
                    {"action": {"type": "Delete"}, "condition": {"age": 3, "withState": "ARCHIVED"}}
                ]
            },
            {},
            {"lifecycleRules[0]": "delete"},
        ),
        (
            {"cors": [{"origins": ["*"], "methods": ["GET"], "maxAgeSeconds": 60}]},
            {"cors": [{"origins": ["*"], "methods": ["GET", "PUT"], "maxAgeSeconds": 60}]},
            {"cors[0].methods[1]": "add"},
        ),
        (
            {"versioning": {"enabled": True}},
            {"versioning": {"enabled": False}},
            {"versioning.enabled": "update"},
        ),
        ({}, {"storageClass": "NEARLINE"}, {"storageClass": "update"}),
        ({}, {"requesterPays": True}, {"requesterPays": "add"}),
        (
            {"softDeletePolicy": {"retentionDurationSeconds": 604800}},
            {"softDeletePolicy": {"retentionDurationSeconds": 0}},
            {"softDeletePolicy.retentionDurationSeconds": "update"},
        ),
        ({"retentionPolicy": {"retentionPeriod": "60"}}, {}, {"retentionPolicy": "delete"}),
        (
            {"website": {"mainPageSuffix": "index.html"}},
            {"website": {"mainPageSuffix": "index.html", "notFoundPage": "404.html"}},
            {"website.notFoundPage": "add"},
        ),
    ],
)
async def test_a_bucket_setting_changes_in_place_and_reads_back(engine, before, after, where):
    await engine.up(BUCKET, "data", location="EU", **before)
    assert await engine.up(BUCKET, "data", location="EU", **before) == "same"
    checked = await engine.check(BUCKET, "data", {"location": "EU", **after})
    assert await engine.diff("data", checked) == where
    assert await engine.up(BUCKET, "data", location="EU", **after) == "update"
    assert await engine.up(BUCKET, "data", location="EU", **after) == "same"
    assert await engine.refresh("data") == {}


async def test_another_location_replaces_the_bucket_and_a_name_of_ones_own_goes_first(engine, project):
    await engine.up(BUCKET, "auto", location="EU")
    await engine.up(BUCKET, "named", name=f"{project}-named", location="EU")
    checked = await engine.check(BUCKET, "named", {"name": f"{project}-named", "location": "US"})
    assert await engine.diff("named", checked) == {"location": "update-replace"}
    assert engine.delete_first
    assert await engine.up(BUCKET, "named", name=f"{project}-named", location="US") == "replace"
    assert engine.state["named"]["location"] == "US"


async def test_a_bucket_that_holds_objects_is_only_deleted_when_the_program_says_so(engine, google):
    await engine.up(BUCKET, "data", **bucket_inputs())
    name = engine.state["data"].id
    for content in (b"one", b"two"):
        await google.post(f"/upload/storage/v1/b/{name}/o?uploadType=media&name=a/b.txt", content=content)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await engine._delete(engine.state["data"])
    assert refused.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "force_destroy=True" in refused.value.details()
    assert await engine.up(BUCKET, "data", **bucket_inputs(forceDestroy=True)) == "update"
    await engine.delete("data")
    assert (await google.get(f"/storage/v1/b/{name}")).status_code == 404


async def test_deletion_policies_are_kept(engine, google):
    await engine.up(BUCKET, "kept", location="EU", deletionPolicy="PREVENT")
    with pytest.raises(grpc.aio.AioRpcError, match="deletionPolicy is PREVENT"):
        await engine._delete(engine.state["kept"])
    await engine.up(BUCKET, "kept", location="EU", deletionPolicy="ABANDON")
    name = engine.state["kept"].id
    await engine.delete("kept")
    assert (await google.get(f"/storage/v1/b/{name}")).status_code == 200


async def test_a_name_that_is_taken_is_an_error_that_says_how_to_import(engine, google, project):
    name = f"{project}-taken"
    await google.post(f"/storage/v1/b?project={project}", json={"name": name, "location": "EU"})
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await engine.up(BUCKET, "mine", name=name, location="EU")
    assert refused.value.code() == grpc.StatusCode.ALREADY_EXISTS
    assert "googleapi: Error 409" in refused.value.details()
    assert f"pulumi import {BUCKET} mine {name}" in refused.value.details()
    imported = await engine.import_(BUCKET, "mine", name)
    assert imported is not None
    assert await engine.up(BUCKET, "mine", name=name, location="EU") == "same"


async def test_importing_what_does_not_exist_finds_nothing(engine):
    assert await engine.import_(BUCKET, "none", "no-such-bucket-anywhere") is None


async def test_what_a_cut_off_run_created_under_an_automatic_name_is_taken_over(engine, google):
    """The engine was killed after the request and before its answer was stored."""
    checked = await engine.check(BUCKET, "data", bucket_inputs())
    first = await engine.create(BUCKET, "data", checked)
    assert not engine.state
    assert await engine.up(BUCKET, "data", **bucket_inputs()) == "create"
    assert engine.state["data"].id == first.id


async def test_a_bucket_deleted_behind_its_back_is_gone_after_a_refresh(engine, google):
    await engine.up(BUCKET, "data", location="EU")
    await google.delete(f"/storage/v1/b/{engine.state['data'].id}")
    assert await engine.refresh("data") is None


async def test_default_labels_of_the_provider_are_on_the_bucket_and_their_drift_is_found(
    bare_engine, settings, google
):
    await bare_engine.configure({**settings, "defaultLabels": '{"stack": "local"}'})
    await bare_engine.up(BUCKET, "data", location="EU", labels={"a": "b"})
    address = f"/storage/v1/b/{bare_engine.state['data'].id}"
    stored = (await google.get(address)).json()
    assert stored["labels"] == {"a": "b", "stack": "local", "goog-pulumi-provisioned": "true"}
    assert await bare_engine.up(BUCKET, "data", location="EU", labels={"a": "b"}) == "same"
    await google.patch(address, json={"labels": {"stack": "other"}})
    assert await bare_engine.refresh("data") == {'pulumiLabels["stack"]': "update"}
    assert await bare_engine.up(BUCKET, "data", location="EU", labels={"a": "b"}) == "update"
    assert (await google.get(address)).json()["labels"]["stack"] == "local"


@pytest.fixture
async def bucket(engine) -> str:
    await engine.up(BUCKET, "bucket", **bucket_inputs(forceDestroy=True))
    return engine.state["bucket"].id


async def test_an_object_from_a_file_arrives_whole_and_stays_unchanged(engine, google, bucket, tmp_path):
    source = tmp_path / "train.jsonl"
    source.write_bytes('{"input_text": "ä b/c"}\n'.encode() * 1000)
    inputs = {
        "bucket": bucket,
        "name": "sarcasm/0a1b/train file.jsonl",
        "source": file_asset(source, "1"),
        "contentType": "application/jsonl",
    }
    planned = await engine.preview(OBJECT, "train", **inputs)
    assert planned["outputName"] == inputs["name"]
    assert not planned.keys() & {"md5hash", "crc32c", "generation", "selfLink"}
    assert await engine.up(OBJECT, "train", **inputs) == "create"
    held = engine.state["train"]
    assert held.id == f"{bucket}-{inputs['name']}"
    stored = (await google.get(f"/storage/v1/b/{bucket}/o/sarcasm%2F0a1b%2Ftrain%20file.jsonl")).json()
    assert (held["md5hash"], held["crc32c"]) == (stored["md5Hash"], stored["crc32c"])
    assert held["generation"] == int(stored["generation"])
    assert stored["contentType"] == "application/jsonl"
    media = await google.get(
        f"/download/storage/v1/b/{bucket}/o/sarcasm%2F0a1b%2Ftrain%20file.jsonl", params={"alt": "media"}
    )
    assert media.content == source.read_bytes()
    assert await engine.up(OBJECT, "train", **inputs) == "same"
    assert await engine.refresh("train") == {}


async def test_an_object_overwritten_behind_its_back_is_found_and_put_right(engine, google, bucket):
    inputs = {"bucket": bucket, "name": "a/b.txt", "content": "mine"}
    await engine.up(OBJECT, "text", **inputs)
    await google.post(f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name=a/b.txt", content=b"theirs")
    assert await engine.refresh("text") == {"detectMd5hash": "update"}
    assert await engine.up(OBJECT, "text", **inputs) == "update"
    media = await google.get(f"/download/storage/v1/b/{bucket}/o/a%2Fb.txt", params={"alt": "media"})
    assert media.content == b"mine"
    assert await engine.refresh("text") == {}


async def test_content_changes_in_place_and_is_never_shown(engine, bucket):
    assert (
        await engine.up(OBJECT, "text", secretly=["content"], bucket=bucket, name="x", content="one")
        == "create"
    )
    first = engine.state["text"]["generation"]
    assert "content" in engine.state["text"].secrets
    assert "content" in values.read(engine.state["text"].inputs).secrets
    assert (
        await engine.up(OBJECT, "text", secretly=["content"], bucket=bucket, name="x", content="two")
        == "update"
    )
    assert engine.state["text"]["generation"] != first


async def test_the_same_bytes_are_not_uploaded_again(engine, bucket):
    await engine.up(OBJECT, "text", bucket=bucket, name="x", content="one")
    first = engine.state["text"]["generation"]
    again = await engine.create(
        OBJECT, "text", await engine.check(OBJECT, "text", {"bucket": bucket, "name": "x", "content": "one"})
    )
    assert again["generation"] == first
    inputs = {"bucket": bucket, "name": "x", "content": "one", "temporaryHold": True}
    assert await engine.up(OBJECT, "text", **inputs) == "update"
    assert engine.state["text"]["generation"] == first
    assert await engine.up(OBJECT, "text", **{**inputs, "temporaryHold": False}) == "update"
    assert await engine.refresh("text") == {}


async def test_another_file_makes_a_new_object(engine, bucket, tmp_path):
    source = tmp_path / "a"
    source.write_text("one")
    inputs = {"bucket": bucket, "name": "a", "source": file_asset(source, "1")}
    await engine.up(OBJECT, "a", **inputs)
    source.write_text("two")
    checked = await engine.check(OBJECT, "a", {**inputs, "source": file_asset(source, "2")})
    assert await engine.diff("a", checked) == {"source": "update-replace"}
    assert engine.delete_first


async def test_a_large_object_is_uploaded_in_chunks(engine, google, bucket, tmp_path, monkeypatch):
    from tunestack.emulator.gcp_provider.resources import storage_bucket_object

    monkeypatch.setattr(storage_bucket_object, "CHUNK_BYTES", 256 * 1024)
    source = tmp_path / "large"
    source.write_bytes(bytes(range(256)) * 2500)
    await engine.up(OBJECT, "large", bucket=bucket, name="large", source=file_asset(source, "1"))
    media = await google.get(f"/download/storage/v1/b/{bucket}/o/large", params={"alt": "media"})
    assert media.content == source.read_bytes()
    assert engine.state["large"]["contentType"] == "application/octet-stream"


async def test_an_object_without_a_file_is_refused_before_anything_is_made(engine, bucket, tmp_path):
    missing = tmp_path / "missing.jsonl"
    with pytest.raises(Exception, match=f"source: no file {missing}"):
        await engine.up(OBJECT, "x", bucket=bucket, source=file_asset(missing, "1"))
    with pytest.raises(Exception, match="exactly one of source and content"):
        await engine.up(OBJECT, "x", bucket=bucket)


async def test_googles_errors_keep_their_words_and_get_the_fitting_status(engine, google, emulator, bucket):
    with pytest.raises(grpc.aio.AioRpcError) as missing:
        await engine.up(OBJECT, "x", bucket="no-such-bucket-anywhere", name="x", content="x")
    assert missing.value.code() == grpc.StatusCode.NOT_FOUND
    assert "googleapi: Error 404" in missing.value.details()
    fault = {"method": "storage.objects.insert", "times": 1, "status": 403}
    answer = await google.post("/_local/faults", json=fault)
    assert answer.is_success, answer.text
    with pytest.raises(grpc.aio.AioRpcError) as denied:
        await engine.up(OBJECT, "y", bucket=bucket, name="y", content="y")
    assert denied.value.code() == grpc.StatusCode.PERMISSION_DENIED


async def test_a_transient_error_is_tried_again(engine, google: httpx.AsyncClient, bucket):
    answer = await google.post(
        "/_local/faults", json={"method": "storage.objects.insert", "times": 2, "status": 503}
    )
    assert answer.is_success, answer.text
    assert await engine.up(OBJECT, "z", bucket=bucket, name="z", content="z") == "create"
    faults = (await google.get("/_local/faults")).json()
    assert any(fault.get("fired") == 2 for fault in faults.get("faults", faults)), faults


async def test_an_overwritten_file_is_found_when_the_engine_tells_its_digest_only(
    engine, google, bucket, tmp_path
):
    """The CLI leaves the path out of the assets it sends to Diff."""
    source = tmp_path / "rows.jsonl"
    source.write_text("mine")
    inputs = {"bucket": bucket, "name": "rows", "source": file_asset(source, "1")}
    await engine.up(OBJECT, "rows", **inputs)
    digest_only = values.write({**inputs, "source": {values.SIGNATURE: values.ASSET, "hash": "1"}})
    assert await engine.diff("rows", digest_only) == {}
    await google.post(f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name=rows", content=b"theirs")
    assert await engine.refresh("rows") == {"detectMd5hash": "update"}
    assert await engine.diff("rows", digest_only) == {"detectMd5hash": "update"}
    assert await engine.refresh("rows") == {"detectMd5hash": "update"}
    assert await engine.up(OBJECT, "rows", **inputs) == "update"
    assert await engine.diff("rows", digest_only) == {}
