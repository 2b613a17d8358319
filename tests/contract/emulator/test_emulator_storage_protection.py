"""What keeps objects in Cloud Storage and what takes them away, by google-cloud-storage, unchanged."""

from __future__ import annotations

import datetime as dt

import pytest
from google.api_core import exceptions


@pytest.fixture
def bucket(emulator):
    return emulator.bucket()


def later(emulator, **ahead):
    """Put the emulator's clock ahead."""
    emulator.call("POST", "/_local/clock", {"advanceSeconds": dt.timedelta(**ahead).total_seconds()})


def write(bucket, name="x", text="one"):
    blob = bucket.blob(name)
    blob.upload_from_string(text)
    return blob


def test_a_held_object_is_neither_deleted_nor_overwritten(bucket):
    blob = write(bucket)
    blob.temporary_hold = True
    blob.patch()
    with pytest.raises(exceptions.Forbidden, match="under active Temporary hold"):
        blob.delete()
    with pytest.raises(exceptions.Forbidden, match="under active Temporary hold"):
        write(bucket, text="two")
    assert bucket.blob("x").download_as_text() == "one"
    blob.temporary_hold = False
    blob.patch()
    blob.delete()


def test_new_objects_of_a_bucket_with_default_holds_are_held(bucket):
    bucket.default_event_based_hold = True
    bucket.patch()
    blob = write(bucket)
    assert blob.event_based_hold
    with pytest.raises(exceptions.Forbidden, match="Event-Based hold"):
        blob.delete()


def test_a_retention_policy_keeps_objects_and_a_locked_one_itself(bucket):
    bucket.retention_period = 3600
    bucket.patch()
    blob = write(bucket)
    blob.reload()
    assert blob.retention_expiration_time - blob.time_created == dt.timedelta(hours=1)
    with pytest.raises(exceptions.Forbidden, match="subject to bucket's retention policy"):
        blob.delete()
    with pytest.raises(exceptions.PreconditionFailed):
        bucket._client._post_resource(
            f"{bucket.path}/lockRetentionPolicy", None, query_params={"ifMetagenerationMatch": 99}
        )
    bucket.lock_retention_policy()
    assert bucket.retention_policy_locked
    bucket.retention_period = 60
    with pytest.raises(exceptions.Forbidden, match="Cannot reduce retention duration of a locked"):
        bucket.patch()
    bucket.reload()
    bucket.retention_period = 7200
    bucket.patch()


def test_an_object_keeps_its_own_retention(emulator):
    client = emulator.storage()
    bucket = client.bucket("retained-objects")
    bucket.create(enable_object_retention=True)
    blob = write(bucket)
    blob.retention.mode = "Unlocked"
    blob.retention.retain_until_time = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    blob.patch()
    with pytest.raises(exceptions.Forbidden, match="object retention"):
        blob.delete()
    blob.retention.mode = None
    blob.retention.retain_until_time = None
    with pytest.raises(exceptions.Forbidden, match="cannot be reduced"):
        blob.patch()
    blob.patch(override_unlocked_retention=True)
    blob.delete()


def test_what_was_deleted_is_restored_until_its_time_is_over(start):
    emulator = start()
    bucket = emulator.bucket()
    bucket.soft_delete_policy.retention_duration_seconds = 7 * 86_400
    bucket.patch()
    blob = write(bucket)
    blob.reload()
    generation = blob.generation
    blob.delete()
    assert not bucket.blob("x").exists()
    (gone,) = bucket.list_blobs(soft_deleted=True)
    assert gone.hard_delete_time - gone.soft_delete_time == dt.timedelta(days=7)
    assert bucket.get_blob("x", generation=generation, soft_deleted=True).soft_delete_time
    restored = bucket.restore_blob("x", generation=generation)
    assert restored.download_as_text() == "one"
    assert restored.generation != generation
    restored.delete()
    later(emulator, days=8)
    assert list(bucket.list_blobs(soft_deleted=True)) == []
    with pytest.raises(exceptions.NotFound):
        bucket.restore_blob("x", generation=generation)
    bucket.delete()


def test_lifecycle_rules_are_carried_out_by_the_clock(start):
    emulator = start()
    bucket = emulator.bucket()
    bucket.versioning_enabled = True
    bucket.add_lifecycle_set_storage_class_rule("COLDLINE", age=10, matches_prefix=["keep/"])
    bucket.add_lifecycle_delete_rule(age=30, matches_suffix=[".tmp"])
    bucket.add_lifecycle_delete_rule(number_of_newer_versions=2)
    bucket.patch()
    write(bucket, "keep/a")
    write(bucket, "b.tmp")
    for text in ("1", "2", "3", "4"):
        write(bucket, "versions", text)
    assert len(list(bucket.list_blobs(prefix="versions", versions=True))) == 2
    later(emulator, days=11)
    assert bucket.get_blob("keep/a").storage_class == "COLDLINE"
    assert bucket.get_blob("b.tmp").storage_class == "STANDARD"
    later(emulator, days=20)
    assert bucket.get_blob("b.tmp") is None
    assert bucket.get_blob("keep/a") is not None


def test_a_rewrite_in_parts_goes_on_where_its_token_says(bucket):
    source = write(bucket, text="x" * (3 << 20))
    target = bucket.blob("copy")

    def part(token):
        query = {"maxBytesRewrittenPerCall": 1 << 20, **({"rewriteToken": token} if token else {})}
        return bucket.client._post_resource(f"{source.path}/rewriteTo{target.path}", {}, query_params=query)

    seen, token = [], None
    while True:
        answer = part(token)
        seen.append(int(answer["totalBytesRewritten"]))
        if answer["done"]:
            break
        assert not target.exists()
        token = answer["rewriteToken"]
    assert seen == [1 << 20, 2 << 20, 3 << 20]
    assert target.exists()
    write(bucket, text="y" * (3 << 20))
    with pytest.raises(exceptions.BadRequest, match="rewrite token is not valid"):
        part(token)


def test_an_object_is_moved_in_one_step(bucket):
    blob = write(bucket, "old")
    moved = bucket.move_blob(blob, "new")
    assert (moved.name, moved.download_as_text()) == ("new", "one")
    assert not bucket.blob("old").exists()


def test_the_public_stays_out_where_that_is_enforced(bucket):
    bucket.iam_configuration.public_access_prevention = "enforced"
    bucket.patch()
    policy = bucket.get_iam_policy(requested_policy_version=3)
    policy.bindings.append({"role": "roles/storage.objectViewer", "members": {"allUsers"}})
    with pytest.raises(exceptions.PreconditionFailed, match="public access prevention is enforced"):
        bucket.set_iam_policy(policy)


def test_access_control_lists_are_kept_and_refused_under_uniform_access(bucket):
    blob = write(bucket)
    blob.acl.user("a@example.com").grant_read()
    blob.acl.save()
    blob.acl.reload()
    assert {"entity": "user-a@example.com", "role": "READER"} in list(blob.acl)
    bucket.acl.reload()
    assert any(entry["entity"].startswith("project-owners-") for entry in bucket.acl)
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.patch()
    for listed in (bucket.acl, bucket.default_object_acl, blob.acl):
        with pytest.raises(exceptions.BadRequest, match="uniform bucket-level access is enabled"):
            listed.reload()


def test_a_bucket_says_how_it_is_laid_out(emulator, bucket):
    layout = emulator.call("GET", f"/storage/v1/b/{bucket.name}/storageLayout")
    assert (layout["bucket"], layout["hierarchicalNamespace"]) == (bucket.name, {"enabled": False})


def test_cross_origin_rules_and_a_website_read_back(bucket):
    bucket.cors = [{"origin": ["*"], "method": ["GET"], "maxAgeSeconds": 60, "responseHeader": ["x"]}]
    bucket.configure_website("index.html")
    bucket.patch()
    read = bucket.client.get_bucket(bucket.name)
    assert read.cors == bucket.cors
    assert read._properties["website"] == {"mainPageSuffix": "index.html"}


def test_a_key_of_a_service_account_is_told_once_and_must_be_off_to_go(emulator):
    client = emulator.storage()
    metadata, secret = client.create_hmac_key("a@p1.iam.gserviceaccount.com")
    assert len(secret) == 40
    assert [
        key.access_id for key in client.list_hmac_keys(service_account_email="a@p1.iam.gserviceaccount.com")
    ] == [metadata.access_id]
    with pytest.raises(exceptions.BadRequest, match="Cannot delete keys in 'ACTIVE' state"):
        client.get_hmac_key_metadata(metadata.access_id)._client._delete_resource(metadata.path)
    metadata.state = "INACTIVE"
    metadata.update()
    metadata.delete()
    assert list(client.list_hmac_keys()) == []
