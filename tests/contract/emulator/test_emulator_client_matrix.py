"""Google's own clients, unchanged, one short conversation each; together they are docs/emulator-clients.md.

    python tests/contract/emulator/test_emulator_client_matrix.py > docs/emulator-clients.md

Each conversation makes something, reads it back as it was sent, and meets a refusal where one is telling. What a
service does in depth is proved in its own file.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.oauth2.credentials import Credentials

PROJECT = "projects/p1"
REGION = f"{PROJECT}/locations/us-central1"
PAGE = Path(__file__).parents[3] / "docs" / "emulator-clients.md"
HEAD = """# Google's clients against the emulator

Written by `python tests/contract/emulator/test_emulator_client_matrix.py > docs/emulator-clients.md`; the same file
holds the conversations, which `make test` plays. No client is patched: an endpoint and credentials are all they are
given (`tunestack emulator env` prints both as variables). Clients that speak gRPC alone go through a door that turns
their calls into the same REST calls (`tunestack.emulator.rpc.open_door`).

| client | speaks | what is done |
|---|---|---|
"""


@dataclass(frozen=True)
class Conversation:
    """A row of the matrix. ``package`` is what pip installs."""

    package: str
    speaks: str
    what: str
    play: Callable[[Any], None]


MATRIX: list[Conversation] = []


def conversation(
    package: str, speaks: str, what: str
) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    def register(play: Callable[[Any], None]) -> Callable[[Any], None]:
        MATRIX.append(Conversation(package, speaks, what, play))
        return play

    return register


def fresh(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def page() -> str:
    return HEAD + "".join(f"| {row.package} | {row.speaks} | {row.what} |\n" for row in MATRIX)


@conversation(
    "google-cloud-storage",
    "REST",
    "bucket with labels; upload once, a second time refused (412); list; batch",
)
def cloud_storage(emulator):
    client = emulator.storage()
    bucket = client.bucket(fresh("matrix"))
    bucket.labels = {"env": "dev"}
    client.create_bucket(bucket, location="europe-west4")
    assert client.get_bucket(bucket.name).labels == {"env": "dev"}
    blob = bucket.blob("a/b")
    blob.upload_from_string("one", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        blob.upload_from_string("two", if_generation_match=0)
    assert blob.download_as_text() == "one"
    with client.batch():
        blob.delete()
    assert list(bucket.list_blobs()) == []


@conversation(
    "google-cloud-aiplatform",
    "REST",
    "endpoint: made (operation awaited), changed under a mask, listed, deleted",
)
def vertex(emulator):
    from google.cloud import aiplatform_v1
    from google.protobuf import field_mask_pb2

    client = emulator.google(aiplatform_v1.EndpointServiceClient)
    name = fresh("matrix")
    endpoint = aiplatform_v1.Endpoint(display_name=name, labels={"env": "dev"})
    made = client.create_endpoint(parent=REGION, endpoint=endpoint).result(timeout=30)
    made.description = "of the matrix"
    mask = field_mask_pb2.FieldMask(paths=["description"])
    assert client.update_endpoint(endpoint=made, update_mask=mask).labels == {"env": "dev"}
    found = client.list_endpoints(request={"parent": REGION, "filter": f'display_name="{name}"'})
    assert [row.description for row in found] == ["of the matrix"]
    client.delete_endpoint(name=made.name).result(timeout=30)
    with pytest.raises(exceptions.NotFound):
        client.get_endpoint(name=made.name)


@conversation("google-genai", "REST", "supervised tuning job: submitted, seen failing with its cause, listed")
def genai(emulator):
    from google import genai
    from google.genai import types

    client = genai.Client(
        vertexai=True,
        project="p1",
        location="us-central1",
        credentials=Credentials(token="local"),
        http_options={"base_url": emulator.url},
    )
    name = emulator.script(state="FAILED", cause="stockout")
    job = client.tunings.tune(
        base_model="gemini-2.5-flash",
        training_dataset=types.TuningDataset(gcs_uri="gs://matrix/train.jsonl"),
        config=types.CreateTuningJobConfig(tuned_model_display_name=name, epoch_count=1),
    )
    emulator.wait(job.name)
    job = client.tunings.get(name=job.name)
    assert job.state == types.JobState.JOB_STATE_FAILED
    assert job.error.message
    assert job.name in [row.name for row in client.tunings.list(config={"page_size": 50})]


@conversation(
    "google-cloud-bigquery",
    "REST",
    "rows loaded with a schema found in them; query with a parameter; dry run; mistake at line:column",
)
def bigquery(emulator):
    from google.cloud import bigquery

    client = bigquery.Client(
        project="p1", credentials=AnonymousCredentials(), client_options={"api_endpoint": emulator.url}
    )
    dataset = client.create_dataset(f"matrix_{uuid.uuid4().hex[:8]}")
    client.load_table_from_json(
        [{"run": "a", "cost": 1.5}, {"run": "b", "cost": 2.5}], dataset.table("t")
    ).result()
    query = f"SELECT SUM(cost) AS total FROM {dataset.dataset_id}.t WHERE run = @run"  # noqa: S608 - our own name
    config = bigquery.QueryJobConfig(query_parameters=[bigquery.ScalarQueryParameter("run", "STRING", "b")])
    assert [row["total"] for row in client.query_and_wait(query, job_config=config)] == [2.5]
    config.dry_run = True
    assert client.query(query, job_config=config).total_bytes_processed == 2 * (8 + 3)
    with pytest.raises(exceptions.BadRequest, match=r"Unrecognized name: nothing at \[1:8\]"):
        client.query_and_wait("SELECT nothing")


@conversation(
    "google-cloud-resource-manager",
    "REST",
    "project read; a role granted under the policy's etag, a stale etag refused",
)
def resource_manager(emulator):
    from google.cloud import resourcemanager_v3

    client = emulator.google(resourcemanager_v3.ProjectsClient)
    assert client.get_project(name=PROJECT).project_id == "p1"
    project = f"projects/{fresh('matrix')}"
    policy = client.get_iam_policy(resource=project)
    stale = client.get_iam_policy(resource=project)
    policy.bindings.add(role="roles/viewer", members=["user:a@example.com"])
    client.set_iam_policy(request={"resource": project, "policy": policy})
    with pytest.raises(exceptions.Conflict):
        client.set_iam_policy(request={"resource": project, "policy": stale})
    assert "roles/viewer" in [binding.role for binding in client.get_iam_policy(resource=project).bindings]


@conversation(
    "google-cloud-quotas", "REST", "an accelerator's quota read, a larger one asked for and granted"
)
def quotas(emulator):
    from google.cloud import cloudquotas_v1

    client = emulator.google(cloudquotas_v1.CloudQuotasClient)
    parent = f"projects/{fresh('matrix')}/locations/global"
    infos = list(client.list_quota_infos(parent=f"{parent}/services/aiplatform.googleapis.com"))
    info = next(info for info in infos if "region" in info.dimensions)
    preference = cloudquotas_v1.QuotaPreference(
        service="aiplatform.googleapis.com",
        quota_id=info.quota_id,
        quota_config={"preferred_value": 8},
        dimensions={"region": "us-central1"},
        contact_email="a@example.com",
    )
    made = client.create_quota_preference(parent=parent, quota_preference=preference)
    assert client.get_quota_preference(name=made.name).quota_config.granted_value == 8


@conversation(
    "google-cloud-kms", "REST", "ring and key; encrypted and decrypted; a destroyed version decrypts no more"
)
def kms(emulator):
    from google.cloud import kms_v1

    client = emulator.google(kms_v1.KeyManagementServiceClient)
    ring = client.create_key_ring(parent=REGION, key_ring_id=fresh("matrix"), key_ring={}).name
    purpose = kms_v1.CryptoKey.CryptoKeyPurpose.ENCRYPT_DECRYPT
    key = client.create_crypto_key(
        parent=ring, crypto_key_id="key", crypto_key=kms_v1.CryptoKey(purpose=purpose)
    )
    sealed = client.encrypt(name=key.name, plaintext=b"secret").ciphertext
    assert b"secret" not in sealed
    assert client.decrypt(name=key.name, ciphertext=sealed).plaintext == b"secret"
    client.destroy_crypto_key_version(name=f"{key.name}/cryptoKeyVersions/1")
    with pytest.raises(exceptions.GoogleAPICallError):
        client.decrypt(name=key.name, ciphertext=sealed)


@conversation(
    "google-cloud-artifact-registry", "REST", "repository: made (operation awaited), read back, deleted"
)
def artifact_registry(emulator):
    from google.cloud import artifactregistry_v1

    client = emulator.google(artifactregistry_v1.ArtifactRegistryClient)
    repository = artifactregistry_v1.Repository(format_="DOCKER", labels={"env": "dev"})
    made = client.create_repository(
        parent=REGION, repository_id=fresh("matrix"), repository=repository
    ).result(timeout=30)
    assert client.get_repository(name=made.name).labels == {"env": "dev"}
    client.delete_repository(name=made.name).result(timeout=30)
    with pytest.raises(exceptions.NotFound):
        client.get_repository(name=made.name)


@conversation("google-cloud-logging", "REST", "a text and a struct written, found by severity")
def logging(emulator):
    from google.cloud import logging

    client = logging.Client(
        project=fresh("matrix"),
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": emulator.url},
        _use_grpc=False,
    )
    log = client.logger("training")
    log.log_text("step 1 of 3", severity="INFO")
    log.log_struct({"message": "Out of Memory"}, severity="ERROR")
    entries = client.list_entries(filter_="severity>=ERROR")
    assert [entry.payload for entry in entries] == [{"message": "Out of Memory"}]


@conversation("google-cloud-monitoring", "gRPC", "a point of a time series written and read")
def monitoring(emulator):
    from datetime import UTC, datetime, timedelta

    from google.cloud import monitoring_v3
    from google.cloud.monitoring_v3.services.metric_service.transports.grpc import MetricServiceGrpcTransport

    from tunestack.emulator.rpc import open_door

    server, port = open_door(emulator.url)
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            client = monitoring_v3.MetricServiceClient(transport=MetricServiceGrpcTransport(channel=channel))
            project, now = f"projects/{fresh('matrix')}", datetime.now(UTC)
            series = monitoring_v3.TimeSeries(
                metric={"type": "custom.googleapis.com/loss"},
                resource={"type": "global", "labels": {"project_id": project.partition("/")[2]}},
                points=[{"interval": {"end_time": now}, "value": {"double_value": 0.25}}],
            )
            client.create_time_series(name=project, time_series=[series])
            request = {
                "name": project,
                "filter": 'metric.type = "custom.googleapis.com/loss"',
                "interval": {"start_time": now - timedelta(hours=1), "end_time": now},
                "view": monitoring_v3.ListTimeSeriesRequest.TimeSeriesView.FULL,
            }
            (found,) = client.list_time_series(request=request)
            assert [point.value.double_value for point in found.points] == [0.25]
    finally:
        server.stop(None).wait()


@conversation(
    "google-cloud-pubsub", "REST", "a message published, pulled by a subscription, acknowledged, gone"
)
def pubsub(emulator):
    from google.cloud import pubsub_v1

    publisher, subscriber = (
        emulator.google(pubsub_v1.PublisherClient),
        emulator.google(pubsub_v1.SubscriberClient),
    )
    topic = publisher.create_topic(name=f"{PROJECT}/topics/{fresh('matrix')}").name
    name = f"{PROJECT}/subscriptions/{fresh('matrix')}"
    subscriber.create_subscription(request={"name": name, "topic": topic})
    identifier = publisher.publish(topic, b"the job ended", job="7").result(timeout=30)
    request = {"subscription": name, "max_messages": 10, "return_immediately": True}
    (received,) = subscriber.pull(request=request).received_messages
    assert (received.message.message_id, dict(received.message.attributes)) == (identifier, {"job": "7"})
    subscriber.acknowledge(subscription=name, ack_ids=[received.ack_id])
    assert list(subscriber.pull(request=request).received_messages) == []


@conversation("google-cloud-billing-budgets", "REST", "budget: made, listed, a stale etag refused")
def budgets(emulator):
    from google.cloud.billing import budgets_v1
    from google.type import money_pb2

    client = emulator.google(budgets_v1.BudgetServiceClient)
    account = "billingAccounts/012345-6789AB-CDEF01"
    amount = budgets_v1.BudgetAmount(specified_amount=money_pb2.Money(units=50))
    budget = budgets_v1.Budget(display_name=fresh("matrix"), amount=amount)
    made = client.create_budget(parent=account, budget=budget)
    assert made.name in [row.name for row in client.list_budgets(parent=account)]
    change = budgets_v1.Budget(name=made.name, display_name="more", etag="stale")
    with pytest.raises(exceptions.GoogleAPICallError):
        client.update_budget(budget=change)
    client.delete_budget(name=made.name)


@conversation(
    "google-cloud-secret-manager",
    "REST",
    "secret; a version added with its checksum, read as latest; a disabled one refused (400)",
)
def secret_manager(emulator):
    import google_crc32c
    from google.cloud import secretmanager_v1

    client = emulator.google(secretmanager_v1.SecretManagerServiceClient)
    secret = {"replication": {"automatic": {}}, "labels": {"env": "dev"}}
    made = client.create_secret(parent=PROJECT, secret_id=fresh("matrix"), secret=secret)
    payload = {"data": b"hf_token", "data_crc32c": google_crc32c.value(b"hf_token")}
    version = client.add_secret_version(parent=made.name, payload=payload)
    latest = f"{made.name}/versions/latest"
    assert client.access_secret_version(name=latest).payload.data == b"hf_token"
    client.disable_secret_version(name=version.name)
    with pytest.raises(exceptions.BadRequest, match="DISABLED"):
        client.access_secret_version(name=latest)
    client.delete_secret(name=made.name)


@pytest.fixture(scope="module")
def told() -> Any:
    """What was played, as a table at the end."""
    rows: list[str] = []
    yield rows
    print("\n| client | version | speaks | what was done |\n|---|---|---|---|")
    print("\n".join(rows))


@pytest.mark.parametrize("row", MATRIX, ids=lambda row: row.package)
def test_a_client_of_googles_is_answered(emulator, told, row):
    row.play(emulator)
    told.append(f"| {row.package} | {version(row.package)} | {row.speaks} | {row.what} |")


def test_the_page_of_clients_is_what_is_played():
    if PAGE.read_text() != page():
        raise AssertionError(
            "the page is old: python tests/contract/emulator/test_emulator_client_matrix.py > docs/emulator-clients.md"
        )


if __name__ == "__main__":
    print(page(), end="")
