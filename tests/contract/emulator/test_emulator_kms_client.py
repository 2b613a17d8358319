"""google-cloud-kms, unchanged, over REST against the emulator."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import google_crc32c
import pytest
from google.api_core import exceptions
from google.cloud import kms_v1
from google.iam.v1 import policy_pb2
from google.protobuf import duration_pb2, field_mask_pb2, timestamp_pb2

PARENT = "projects/p1/locations/us-central1"
ENCRYPT = kms_v1.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT
State = kms_v1.CryptoKeyVersion.CryptoKeyVersionState


@pytest.fixture(scope="module")
def kms(emulator):
    return emulator.google(kms_v1.KeyManagementServiceClient)


@pytest.fixture(scope="module")
def ring(kms):
    return kms.create_key_ring(parent=PARENT, key_ring_id=f"ring-{uuid.uuid4().hex[:8]}", key_ring={}).name


@pytest.fixture
def key(kms, ring):
    return new_key(kms, ring)


def new_key(kms, ring, **fields):
    return kms.create_crypto_key(
        parent=ring,
        crypto_key_id=f"key-{uuid.uuid4().hex[:8]}",
        crypto_key=kms_v1.CryptoKey(purpose=ENCRYPT, **fields),
    )


def test_a_ring_is_listed_and_is_there_once(kms, ring):
    assert ring.startswith(PARENT + "/keyRings/")
    assert ring in [found.name for found in kms.list_key_rings(parent=PARENT)]
    with pytest.raises(exceptions.Conflict, match=r"KeyRing .* already exists"):
        kms.create_key_ring(parent=PARENT, key_ring_id=ring.rpartition("/")[2], key_ring={})
    with pytest.raises(exceptions.BadRequest, match="keyRingId"):
        kms.create_key_ring(parent=PARENT, key_ring_id="no spaces", key_ring={})
    with pytest.raises(exceptions.NotFound, match=r"KeyRing .* not found"):
        kms.get_key_ring(name=PARENT + "/keyRings/absent")


def test_a_key_starts_with_an_enabled_version_and_changes_under_a_mask(kms, ring):
    key = new_key(kms, ring, labels={"team": "tuning"})
    assert key.primary.state is State.ENABLED
    assert key.primary.name == key.name + "/cryptoKeyVersions/1"
    assert key.version_template.algorithm.name == "GOOGLE_SYMMETRIC_ENCRYPTION"
    change = kms_v1.CryptoKey(name=key.name, labels={"team": "keys"}, purpose=ENCRYPT)
    changed = kms.update_crypto_key(crypto_key=change, update_mask=field_mask_pb2.FieldMask(paths=["labels"]))
    assert kms.get_crypto_key(name=key.name) == changed
    assert dict(changed.labels) == {"team": "keys"}
    assert key.name in [found.name for found in kms.list_crypto_keys(parent=ring)]


def test_a_key_that_google_forbids_is_refused_with_every_problem(kms, ring):
    with pytest.raises(exceptions.BadRequest) as refused:
        new_key(kms, ring, rotation_period=duration_pb2.Duration(seconds=60))
    assert "at least 24 hours" in refused.value.message
    assert "next_rotation_time" not in refused.value.message
    assert "must be set where rotation_period is set" in refused.value.message


def test_what_is_encrypted_decrypts_and_the_checksums_are_verified(kms, key):
    plaintext, context = b"a secret of the dataset" * 10, b"bucket=x"
    sealed = kms.encrypt(
        kms_v1.EncryptRequest(
            name=key.name,
            plaintext=plaintext,
            additional_authenticated_data=context,
            plaintext_crc32c=google_crc32c.value(plaintext),
        )
    )
    assert sealed.verified_plaintext_crc32c
    assert google_crc32c.value(sealed.ciphertext) == sealed.ciphertext_crc32c
    assert plaintext not in sealed.ciphertext
    opened = kms.decrypt(
        kms_v1.DecryptRequest(
            name=key.name, ciphertext=sealed.ciphertext, additional_authenticated_data=context
        )
    )
    assert opened.plaintext == plaintext
    assert opened.used_primary
    with pytest.raises(exceptions.BadRequest, match="Decryption failed"):
        kms.decrypt(name=key.name, ciphertext=sealed.ciphertext)
    with pytest.raises(exceptions.BadRequest, match="did not match the data in field plaintext"):
        kms.encrypt(kms_v1.EncryptRequest(name=key.name, plaintext=b"x", plaintext_crc32c=1))


def test_a_key_opens_nothing_of_another_key(kms, ring, key):
    sealed = kms.encrypt(name=key.name, plaintext=b"mine")
    with pytest.raises(exceptions.BadRequest, match="refers to the correct CryptoKey"):
        kms.decrypt(name=new_key(kms, ring).name, ciphertext=sealed.ciphertext)


def test_a_new_primary_encrypts_and_the_old_version_still_opens(kms, key):
    before = kms.encrypt(name=key.name, plaintext=b"old")
    version = kms.create_crypto_key_version(parent=key.name, crypto_key_version={})
    assert kms.get_crypto_key(name=key.name).primary.name == before.name
    kms.update_crypto_key_primary_version(
        name=key.name, crypto_key_version_id=version.name.rpartition("/")[2]
    )
    assert kms.encrypt(name=key.name, plaintext=b"new").name == version.name
    opened = kms.decrypt(name=key.name, ciphertext=before.ciphertext)
    assert (opened.plaintext, opened.used_primary) == (b"old", False)


def test_a_rotation_that_is_due_makes_the_next_version_primary(kms, ring):
    past = timestamp_pb2.Timestamp()
    past.FromDatetime(datetime.now(UTC) - timedelta(hours=1))
    key = new_key(kms, ring, rotation_period=duration_pb2.Duration(seconds=86_400), next_rotation_time=past)
    seen = kms.get_crypto_key(name=key.name)
    assert seen.primary.name == key.name + "/cryptoKeyVersions/2"
    assert seen.next_rotation_time > datetime.now(UTC)
    assert len(list(kms.list_crypto_key_versions(parent=key.name))) == 2


def test_a_destroyed_version_is_of_no_use_until_it_is_restored_and_enabled(kms, key):
    sealed = kms.encrypt(name=key.name, plaintext=b"kept")
    destroyed = kms.destroy_crypto_key_version(name=sealed.name)
    assert destroyed.state is State.DESTROY_SCHEDULED
    assert destroyed.destroy_time > datetime.now(UTC) + timedelta(days=29)
    words = "cryptoKeyVersions/1 is not enabled, current state is: DESTROY_SCHEDULED"
    for use in (
        lambda: kms.decrypt(name=key.name, ciphertext=sealed.ciphertext),
        lambda: kms.encrypt(name=key.name, plaintext=b"x"),
    ):
        with pytest.raises(exceptions.BadRequest, match=words):
            use()
    restored = kms.restore_crypto_key_version(name=sealed.name)
    assert restored.state is State.DISABLED
    restored.state = State.ENABLED
    kms.update_crypto_key_version(
        crypto_key_version=restored, update_mask=field_mask_pb2.FieldMask(paths=["state"])
    )
    assert kms.decrypt(name=key.name, ciphertext=sealed.ciphertext).plaintext == b"kept"
    with pytest.raises(exceptions.BadRequest, match="cannot be restored"):
        kms.restore_crypto_key_version(name=sealed.name)


def test_a_policy_is_written_only_over_the_one_that_was_read(kms, key):
    policy = kms.get_iam_policy(request={"resource": key.name})
    stale = policy_pb2.Policy()
    stale.CopyFrom(policy)
    role = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
    member = "serviceAccount:tuner@p1.iam.gserviceaccount.com"
    policy.bindings.add(role=role, members=[member])
    written = kms.set_iam_policy(request={"resource": key.name, "policy": policy})
    assert kms.get_iam_policy(request={"resource": key.name}) == written
    assert written.bindings[0].members == [member]
    with pytest.raises(exceptions.Conflict, match="concurrent policy changes"):
        kms.set_iam_policy(request={"resource": key.name, "policy": stale})


def set_state(kms, version, state):
    kms.update_crypto_key_version(
        crypto_key_version=kms_v1.CryptoKeyVersion(name=version, state=state),
        update_mask=field_mask_pb2.FieldMask(paths=["state"]),
    )


def test_a_bucket_needs_a_key_that_cloud_storage_can_use(emulator, kms, key):
    storage = emulator.storage()
    bucket = storage.bucket(f"cmek-{uuid.uuid4().hex[:12]}")
    for name, error, words in (
        (key.name + "-absent", exceptions.Forbidden, "Permission denied on Cloud KMS key"),
        (key.name.replace("us-central1", "europe-west4"), exceptions.BadRequest, "bucket's location"),
        ("a key", exceptions.BadRequest, "Invalid Cloud KMS key name"),
    ):
        bucket.default_kms_key_name = name
        with pytest.raises(error, match=words):
            bucket.create(location="us-central1")
    bucket.default_kms_key_name = key.name
    bucket.create(location="us-central1")
    blob = bucket.blob("secret")
    blob.upload_from_string("x")
    assert blob.kms_key_name == key.primary.name
    set_state(kms, key.primary.name, State.DISABLED)
    for use in (blob.download_as_bytes, lambda: bucket.blob("more").upload_from_string("x")):
        with pytest.raises(exceptions.BadRequest, match="is not enabled, current state is: DISABLED"):
            use()
    set_state(kms, key.primary.name, State.ENABLED)
    assert blob.download_as_bytes() == b"x"


def test_a_job_needs_a_key_that_vertex_ai_can_use(emulator, kms, key):
    path = f"/v1/{PARENT}/tuningJobs"
    spec = {"trainingDatasetUri": "gs://a/b"}

    def submit(name):
        body = {"baseModel": "gemini-2.5-flash", "supervisedTuningSpec": spec}
        return emulator.http.post(path, json={**body, "encryptionSpec": {"kmsKeyName": name}})

    refused = submit(key.name + "-absent").json()["error"]
    assert refused["status"] == "FAILED_PRECONDITION"
    assert "cannot be used in Vertex AI service" in refused["message"]
    assert "@gcp-sa-aiplatform.iam.gserviceaccount.com" in refused["message"]
    assert submit(key.name).status_code == 200
    set_state(kms, key.primary.name, State.DISABLED)
    assert "cannot be used in Vertex AI service" in submit(key.name).json()["error"]["message"]
    assert "region" in submit(key.name.replace("us-central1", "us-east1")).json()["error"]["message"]


def test_where_iam_is_enforced_the_service_needs_a_role_on_the_key(start):
    local = start(enforce_iam=True)
    project = local.options.project
    location = f"projects/{project}/locations/us-central1"
    local.call("POST", f"/v1/{location}/keyRings", {}, keyRingId="r")
    body = {"purpose": "ENCRYPT_DECRYPT"}
    key = local.call("POST", f"/v1/{location}/keyRings/r/cryptoKeys", body, cryptoKeyId="k")["name"]
    bucket = {"name": "held-by-a-key", "location": "us-central1", "encryption": {"defaultKmsKeyName": key}}
    refused = local.http.post("/storage/v1/b", json=bucket, params={"project": project})
    assert refused.status_code == 403
    number = local.call("GET", f"/v3/projects/{project}")["name"].partition("/")[2]
    agent = f"serviceAccount:service-{number}@gs-project-accounts.iam.gserviceaccount.com"
    binding = {"role": "roles/cloudkms.cryptoKeyEncrypterDecrypter", "members": [agent]}
    local.call("POST", f"/v1/{key}:setIamPolicy", {"policy": {"bindings": [binding]}})
    local.call("POST", "/storage/v1/b", bucket, project=project)


def test_what_is_destroyed_is_gone_when_its_time_has_come(start):
    local = start()
    kms = local.google(kms_v1.KeyManagementServiceClient)
    ring = kms.create_key_ring(parent=PARENT, key_ring_id="r", key_ring={}).name
    key = new_key(kms, ring, destroy_scheduled_duration=duration_pb2.Duration(seconds=86_400))
    sealed = kms.encrypt(name=key.name, plaintext=b"x")
    kms.destroy_crypto_key_version(name=sealed.name)
    local.call("POST", "/_local/clock", {"advanceSeconds": 86_401})
    assert kms.get_crypto_key_version(name=sealed.name).state is State.DESTROYED
    with pytest.raises(exceptions.BadRequest, match="current state is: DESTROYED"):
        kms.decrypt(name=key.name, ciphertext=sealed.ciphertext)
    with pytest.raises(exceptions.BadRequest, match="cannot be restored"):
        kms.restore_crypto_key_version(name=sealed.name)
