"""google-cloud-secret-manager, unchanged, over REST against the emulator."""

from __future__ import annotations

import base64
import json
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import google_crc32c
import pytest
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.cloud import secretmanager_v1
from google.iam.v1 import policy_pb2
from google.oauth2.credentials import Credentials

from tunestack.emulator import process
from tunestack.emulator.environment import token_of

PROJECT = "projects/p1"
REGION = f"{PROJECT}/locations/europe-west4"
TOKEN = b"hf_" + b"x" * 34
AUTOMATIC = {"automatic": {}}


@pytest.fixture(scope="module")
def secrets(emulator):
    return emulator.google(secretmanager_v1.SecretManagerServiceClient)


@pytest.fixture
def secret(secrets):
    return make(secrets)


def make(secrets, parent=PROJECT, **fields):
    fields = fields if "/locations/" in parent else {"replication": AUTOMATIC, **fields}
    return secrets.create_secret(parent=parent, secret_id=f"s-{uuid.uuid4().hex[:8]}", secret=fields)


def add(secrets, secret, data=TOKEN, **payload):
    return secrets.add_secret_version(parent=secret.name, payload={"data": data, **payload})


def held(secrets, secret, version):
    return secrets.access_secret_version(name=f"{secret.name}/versions/{version}").payload.data


def change(secrets, secret, mask, **fields):
    request = {"secret": {"name": secret.name, **fields}, "update_mask": {"paths": mask.split(",")}}
    return secrets.update_secret(request=request)


@pytest.mark.parametrize("parent", [PROJECT, REGION])
def test_a_secret_is_made_read_changed_listed_and_removed(secrets, parent):
    made = make(secrets, parent, labels={"team": "tuning"}, annotations={"Why": "gated models"})
    assert made.name.split("/")[1].isdigit()  # Secret Manager shows the project's number
    assert secrets.get_secret(name=made.name) == made
    assert made.name in [found.name for found in secrets.list_secrets(parent=parent)]
    by_label = secrets.list_secrets(request={"parent": parent, "filter": "labels.team:tuning"})
    assert made.name in [found.name for found in by_label]
    changed = change(secrets, made, "labels", labels={"team": "other"})
    assert (dict(changed.labels), dict(changed.annotations)) == ({"team": "other"}, {"Why": "gated models"})
    assert changed.etag != made.etag
    with pytest.raises(exceptions.BadRequest, match="etag"):
        change(secrets, made, "labels", etag=made.etag)
    with pytest.raises(exceptions.BadRequest, match="etag"):
        secrets.delete_secret(request={"name": made.name, "etag": made.etag})
    secrets.delete_secret(request={"name": made.name, "etag": changed.etag})
    with pytest.raises(exceptions.NotFound, match=r"Secret \[projects/\d+/.* not found"):
        secrets.get_secret(name=made.name)


def test_a_version_holds_what_was_sent_and_is_found_by_number_alias_and_as_latest(secrets, secret):
    with pytest.raises(exceptions.NotFound, match="not found or has no versions"):
        held(secrets, secret, "latest")
    first = add(secrets, secret, b"one")
    second = add(secrets, secret, b"two", data_crc32c=google_crc32c.value(b"two"))
    assert (first.name, second.name) == (f"{secret.name}/versions/1", f"{secret.name}/versions/2")
    assert (first.client_specified_payload_checksum, second.client_specified_payload_checksum) == (
        False,
        True,
    )
    change(secrets, secret, "version_aliases", version_aliases={"stable": 1})
    assert [held(secrets, secret, word) for word in ("1", "2", "stable", "latest")] == [
        *(b"one", b"two", b"one", b"two")
    ]
    answer = secrets.access_secret_version(name=f"{secret.name}/versions/latest")
    assert answer.name == second.name
    assert answer.payload.data_crc32c == google_crc32c.value(b"two")
    assert secrets.get_secret_version(name=f"{secret.name}/versions/stable") == first
    assert [found.name for found in secrets.list_secret_versions(parent=secret.name)] == [
        *(second.name, first.name)
    ]
    with pytest.raises(exceptions.NotFound, match=r"Secret Version \[.*/versions/9\] not found"):
        held(secrets, secret, "9")


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"data": b""}, "cannot be empty"),
        ({"data": b"x" * (64 * 1024 + 1)}, "at most 65536"),
        ({"data": TOKEN, "data_crc32c": 1}, "checksum"),
    ],
)
def test_a_payload_that_google_forbids_is_refused(secrets, secret, payload, words):
    with pytest.raises(exceptions.BadRequest, match=words) as refused:
        secrets.add_secret_version(parent=secret.name, payload=payload)
    assert TOKEN.decode() not in str(refused.value)
    assert list(secrets.list_secret_versions(parent=secret.name)) == []


def test_a_version_may_be_disabled_enabled_and_destroyed_and_no_more_after_that(secrets, secret):
    name = add(secrets, secret).name
    disabled = secrets.disable_secret_version(name=name)
    with pytest.raises(exceptions.BadRequest, match="is in DISABLED state"):
        held(secrets, secret, "latest")
    # Without effect, but the etag is another.
    again = secrets.disable_secret_version(name=name)
    assert (again.state, again.etag != disabled.etag) == (disabled.state, True)
    with pytest.raises(exceptions.BadRequest, match="etag"):
        secrets.enable_secret_version(request={"name": name, "etag": disabled.etag})
    secrets.enable_secret_version(request={"name": name, "etag": again.etag})
    assert held(secrets, secret, "1") == TOKEN
    destroyed = secrets.destroy_secret_version(name=name)
    assert destroyed.state.name == "DESTROYED"
    assert destroyed.destroy_time.timestamp() > 0
    attempts = (
        secrets.access_secret_version,
        secrets.enable_secret_version,
        secrets.disable_secret_version,
        secrets.destroy_secret_version,
    )
    for attempt in attempts:
        with pytest.raises(exceptions.BadRequest, match="is in DESTROYED state"):
            attempt(name=name)
    found = secrets.list_secret_versions(request={"parent": secret.name, "filter": "state:ENABLED"})
    assert list(found) == []


def test_a_secret_that_google_forbids_is_refused_with_every_problem(secrets):
    with pytest.raises(exceptions.BadRequest) as refused:
        make(
            secrets,
            replication={"user_managed": {"replicas": [{"location": "us-east1"}, {"location": "us-east1"}]}},
            labels={"Team": "x"},
            annotations={"-": "x"},
            version_aliases={"latest": 1},
            rotation={"rotation_period": timedelta(seconds=60)},
            version_destroy_ttl=timedelta(seconds=60),
            expire_time=datetime(2020, 1, 1, tzinfo=UTC),
            topics=[{"name": "rotations"}],
        )
    for words in (
        "another location",
        "label key 'Team'",
        "annotation key '-'",
        "alias 'latest'",
        "from 3600s",
        "next_rotation_time must be set",
        "from 1 day",
        "in the future",
        "'rotations' is not of the form",
    ):
        assert words in refused.value.message
    with pytest.raises(exceptions.BadRequest, match="replication must be"):
        make(secrets, replication={})
    with pytest.raises(exceptions.BadRequest, match="replication should not be provided"):
        secrets.create_secret(parent=REGION, secret_id="s", secret={"replication": AUTOMATIC})
    with pytest.raises(exceptions.BadRequest, match="secretId"):
        secrets.create_secret(parent=PROJECT, secret_id="a.b", secret={"replication": AUTOMATIC})


def test_a_secret_expires_at_a_time_or_after_one(secrets, secret):
    in_a_year = datetime.now(UTC) + timedelta(days=365)
    assert change(secrets, secret, "expire_time", expire_time=in_a_year).expire_time == in_a_year
    sooner = change(secrets, secret, "ttl", ttl=timedelta(days=1))
    assert sooner.expire_time < in_a_year - timedelta(days=300)
    assert not change(secrets, sooner, "expire_time").expire_time
    with pytest.raises(exceptions.BadRequest, match="must be positive"):
        make(secrets, ttl=timedelta(0))


def test_a_replication_stays_as_it_was_made(secrets):
    replicas = [{"location": "us-east1"}, {"location": "us-west1"}]
    made = make(secrets, replication={"user_managed": {"replicas": replicas}})
    status = add(secrets, made).replication_status
    assert [replica.location for replica in status.user_managed.replicas] == ["us-east1", "us-west1"]
    with pytest.raises(exceptions.BadRequest, match="immutable"):
        change(secrets, made, "replication", replication=AUTOMATIC)
    identifier = made.name.rpartition("/")[2]
    with pytest.raises(exceptions.Conflict, match="already exists"):
        secrets.create_secret(parent=PROJECT, secret_id=identifier, secret={"replication": AUTOMATIC})


def key_in(emulator, location):
    ring = f"{PROJECT}/locations/{location}/keyRings"
    identifier = f"k-{uuid.uuid4().hex[:8]}"
    emulator.call("POST", f"/v1/{ring}", {}, keyRingId=identifier)
    body = {"purpose": "ENCRYPT_DECRYPT"}
    keys = f"{ring}/{identifier}/cryptoKeys"
    return emulator.call("POST", f"/v1/{keys}", body, cryptoKeyId="key")["name"]


def test_a_payload_cannot_be_read_while_its_key_is_disabled(emulator, secrets):
    key = key_in(emulator, "global")
    encryption = {"customer_managed_encryption": {"kms_key_name": key}}
    made = make(secrets, replication={"automatic": encryption})
    used = add(secrets, made).replication_status.automatic.customer_managed_encryption.kms_key_version_name
    assert used == f"{key}/cryptoKeyVersions/1"
    emulator.call("PATCH", f"/v1/{used}", {"state": "DISABLED"}, updateMask="state")
    with pytest.raises(exceptions.BadRequest):
        held(secrets, made, "latest")
    with pytest.raises(exceptions.BadRequest, match="cannot be used"):
        add(secrets, made)
    emulator.call("PATCH", f"/v1/{used}", {"state": "ENABLED"}, updateMask="state")
    assert held(secrets, made, "latest") == TOKEN
    with pytest.raises(exceptions.BadRequest, match="must be in europe-west4"):
        make(secrets, REGION, **encryption)
    near = {"customer_managed_encryption": {"kms_key_name": key_in(emulator, "europe-west4")}}
    assert add(secrets, make(secrets, REGION, **near)).customer_managed_encryption.kms_key_version_name


def subscribed(emulator):
    """A topic, and a function that takes what its subscription has been told."""
    topic = f"{PROJECT}/topics/secrets-{uuid.uuid4().hex[:8]}"
    subscription = topic.replace("topics", "subscriptions")
    emulator.call("PUT", f"/v1/{topic}", {})
    emulator.call("PUT", f"/v1/{subscription}", {"topic": topic})

    def told(count=0):
        """What came in, once there are ``count`` messages."""
        messages, deadline = pull(), time.monotonic() + 30
        while len(messages) < count:
            assert time.monotonic() < deadline
            messages += pull()
        return messages

    def pull():
        pulled = emulator.call("POST", f"/v1/{subscription}:pull", {"maxMessages": 100})
        messages = pulled.get("receivedMessages", [])
        ids = [message["ackId"] for message in messages]
        emulator.call("POST", f"/v1/{subscription}:acknowledge", {"ackIds": ids})
        return [message["message"] for message in messages]

    return topic, told


def test_a_secrets_topics_are_told_what_happens_to_it_and_never_what_it_holds(emulator, secrets):
    topic, told = subscribed(emulator)
    made = make(secrets, topics=[{"name": topic}])
    name = add(secrets, made).name
    change(secrets, made, "labels", labels={"a": "b"})
    secrets.disable_secret_version(name=name)
    secrets.destroy_secret_version(name=name)
    secrets.delete_secret(name=made.name)
    messages = told()
    assert [message["attributes"]["eventType"] for message in messages] == [
        "TOPIC_CONFIGURED",
        "SECRET_CREATE",
        "SECRET_VERSION_ADD",
        "SECRET_UPDATE",
        "SECRET_VERSION_DISABLE",
        "SECRET_VERSION_DESTROY",
        "SECRET_DELETE",
    ]
    assert {message["attributes"]["secretId"] for message in messages} == {made.name}
    assert messages[2]["attributes"]["versionId"] == name
    assert messages[-1]["attributes"]["deleteType"] == "REQUESTED"
    data = [base64.b64decode(message["data"]) for message in messages]
    assert json.loads(data[2])["name"] == name
    assert not any(TOKEN in text or base64.b64encode(TOKEN) in text for text in data)
    with pytest.raises(exceptions.NotFound, match="Topic"):
        make(secrets, topics=[{"name": topic + "-absent"}])


@pytest.fixture
def timed(emulator, tmp_path):
    """An emulator whose clock may be moved, and a client of it."""
    local = type(emulator)(replace(emulator.options, data=tmp_path / "data", port=0))
    yield local, local.google(secretmanager_v1.SecretManagerServiceClient)
    process.stop(tmp_path / "data")


def test_time_rotates_destroys_and_expires(timed):
    local, secrets = timed
    topic, told = subscribed(local)
    now = datetime.fromisoformat(local.call("GET", "/_local/clock")["now"])
    made = make(
        secrets,
        topics=[{"name": topic}],
        ttl=timedelta(days=10),
        version_destroy_ttl=timedelta(days=2),
        rotation={"next_rotation_time": now + timedelta(hours=1), "rotation_period": timedelta(hours=5)},
    )
    assert made.expire_time - now < timedelta(days=10, minutes=5)
    kept, gone = add(secrets, made, b"kept"), add(secrets, made, b"gone")
    for version in (kept, gone):
        scheduled = secrets.destroy_secret_version(name=version.name)
        assert scheduled.state.name == "DISABLED"
        assert scheduled.scheduled_destroy_time > now + timedelta(days=1)
    secrets.enable_secret_version(name=kept.name)
    told()

    local.call("POST", "/_local/clock", {"advanceSeconds": 3 * 3600})
    # Nobody has looked at the secret: who waits for the message is told all the same.
    assert [message["attributes"]["eventType"] for message in told(1)] == ["SECRET_ROTATE"]
    rotated = secrets.get_secret(name=made.name)
    assert rotated.rotation.next_rotation_time == now + timedelta(hours=6)

    local.call("POST", "/_local/clock", {"advanceSeconds": 3 * 86_400})
    states = {version.name: version for version in secrets.list_secret_versions(parent=made.name)}
    assert states[gone.name].state.name == "DESTROYED"
    assert states[gone.name].destroy_time == scheduled.scheduled_destroy_time
    assert held(secrets, made, "1") == b"kept"

    local.call("POST", "/_local/clock", {"advanceSeconds": 8 * 86_400})
    assert list(secrets.list_secrets(parent=PROJECT)) == []
    last = told()[-1]["attributes"]
    assert (last["eventType"], last["deleteType"]) == ("SECRET_DELETE", "EXPIRATION")
    again = secrets.create_secret(
        parent=PROJECT, secret_id=made.name.rpartition("/")[2], secret={"replication": AUTOMATIC}
    )
    assert add(secrets, again).name.endswith("/versions/1")


@pytest.fixture(scope="module")
def guarded(emulator, tmp_path_factory):
    """An emulator that enforces IAM, and clients of it by who asks."""
    data = tmp_path_factory.mktemp("secrets-iam") / "data"
    local = type(emulator)(replace(emulator.options, data=data, port=0, enforce_iam=True))

    def client(email=None):
        token = token_of(email) if email else "local"
        return secretmanager_v1.SecretManagerServiceClient(
            transport="rest",
            credentials=Credentials(token),
            client_options=ClientOptions(api_endpoint=local.url),
        )

    yield local, client
    process.stop(data)


def test_only_who_may_access_a_version_reads_its_payload(guarded):
    _, client = guarded
    owner, reader = client(), client("reader@example.com")
    made = make(owner)
    add(owner, made)
    with pytest.raises(exceptions.Forbidden, match=r"secretmanager\.versions\.access"):
        held(reader, made, "latest")
    policy = owner.get_iam_policy(request={"resource": made.name})
    policy.bindings.append(
        policy_pb2.Binding(role="roles/secretmanager.secretAccessor", members=["user:reader@example.com"])
    )
    owner.set_iam_policy(request={"resource": made.name, "policy": policy})
    assert held(reader, made, "latest") == TOKEN
    asked = ["secretmanager.versions.access", "secretmanager.versions.add"]
    answer = reader.test_iam_permissions(request={"resource": made.name, "permissions": asked})
    assert list(answer.permissions) == asked[:1]
    with pytest.raises(exceptions.Forbidden, match=r"secretmanager\.versions\.add"):
        add(reader, made)
    with pytest.raises(exceptions.Forbidden, match=r"secretmanager\.secrets\.delete"):
        reader.delete_secret(name=made.name)
    with pytest.raises(exceptions.Conflict):
        owner.set_iam_policy(request={"resource": made.name, "policy": policy})


def test_a_condition_may_let_somebody_read_one_secrets_versions_alone(guarded):
    local, client = guarded
    owner, reader = client(), client("narrow@example.com")
    one, other = make(owner), make(owner)
    for secret in (one, other):
        add(owner, secret)
    condition = (
        f'resource.name.startsWith("{one.name}/versions/")'
        ' && resource.type == "secretmanager.googleapis.com/SecretVersion"'
    )
    policy = local.call("POST", "/v1/projects/p1:getIamPolicy", {"options": {"requestedPolicyVersion": 3}})
    policy["bindings"].append(
        {
            "role": "roles/secretmanager.secretAccessor",
            "members": ["user:narrow@example.com"],
            "condition": {"title": "one", "expression": condition},
        }
    )
    local.call("POST", "/v1/projects/p1:setIamPolicy", {"policy": {**policy, "version": 3}})
    by_id = one.name.replace(one.name.split("/")[1], "p1", 1)
    for name in (one.name, by_id):
        assert reader.access_secret_version(name=f"{name}/versions/latest").payload.data == TOKEN
    with pytest.raises(exceptions.Forbidden, match=f"denied for resource '{other.name}/versions/1'"):
        held(reader, other, "1")


def test_an_editor_of_the_project_makes_secrets_and_reads_none(guarded):
    local, client = guarded
    body = {
        "policy": {
            "bindings": [
                {"role": "roles/owner", "members": [f"serviceAccount:{local.options.account}"]},
                {"role": "roles/editor", "members": ["user:editor@example.com"]},
            ]
        }
    }
    local.call("POST", "/v1/projects/p1:setIamPolicy", body)
    editor = client("editor@example.com")
    made = make(editor)
    add(editor, made)
    with pytest.raises(exceptions.Forbidden, match=r"secretmanager\.versions\.access"):
        held(editor, made, "latest")


def test_a_payload_is_in_no_log_of_the_emulator(emulator, secrets, secret):
    value = f"hf_{uuid.uuid4().hex}".encode()
    add(secrets, secret, value)
    assert held(secrets, secret, "latest") == value
    with pytest.raises(exceptions.BadRequest):
        add(secrets, secret, value, data_crc32c=1)
    emulator.call(
        "POST", "/_local/faults", {"method": "secretmanager.projects.secrets.addVersion", "status": 503}
    )
    with pytest.raises(exceptions.ServiceUnavailable):
        secrets.add_secret_version(parent=secret.name, payload={"data": value}, retry=None)
    logs = (emulator.options.data / "emulator.log").read_bytes()
    logs += json.dumps(emulator.call("GET", "/_local/requests")).encode()
    assert b"addVersion" in logs
    assert value not in logs
    assert base64.b64encode(value) not in logs
