"""The billing export: what jobs would have cost here, in the table that Google would export to, marked as simulated."""

from __future__ import annotations

import base64
import json
import uuid

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.billing import budgets_v1
from google.type import money_pb2

# ruff: noqa: S608 - statements are put together from names that the tests chose


def client_of(emulator, project):
    return bigquery.Client(
        project=project, credentials=AnonymousCredentials(), client_options={"api_endpoint": emulator.url}
    )


@pytest.fixture
def project():
    return f"billed-{uuid.uuid4().hex[:8]}"


def run_job(emulator, project, **labels):
    """A custom job that ends as it is told, after it ran; its name."""
    pool = {
        "machineSpec": {
            "machineType": "a2-highgpu-1g",
            "acceleratorType": "NVIDIA_TESLA_A100",
            "acceleratorCount": 1,
        },
        "replicaCount": "1",
        "containerSpec": {"imageUri": "python:3.11"},
    }
    name = emulator.script(kind="customJobs", state="SUCCEEDED")
    body = {"displayName": name, "labels": labels, "jobSpec": {"workerPoolSpecs": [pool]}}
    job = emulator.call("POST", f"/v1/projects/{project}/locations/us-central1/customJobs", body)
    return emulator.wait(job["name"])


def test_jobs_are_billed_once_each_and_every_row_says_it_is_simulated(emulator, project):
    first = run_job(emulator, project, run="before")
    client = client_of(emulator, project)
    client.create_dataset("billing_export")
    second = run_job(emulator, project, run="after")
    (table,) = client.list_tables("billing_export")
    assert table.table_id == "gcp_billing_export_v1_000000_000000_000000"
    query = f"""
        SELECT service.description AS service, sku.description AS sku, project.id AS project, location.region AS region,
          (SELECT value FROM UNNEST(labels) WHERE key = 'run') AS run, cost, currency, usage.amount AS seconds,
          (SELECT value FROM UNNEST(system_labels) WHERE key = 'tunestack/simulated') AS simulated,
          usage_end_time - usage_start_time IS NOT NULL AS timed
        FROM `{project}.billing_export.gcp_billing_export_v1_*`
        WHERE _PARTITIONTIME >= TIMESTAMP('2020-01-01') ORDER BY run"""
    for _ in range(2):  # asked again, nothing is there twice
        rows = [dict(row) for row in client.query_and_wait(query)]
        assert [row["run"] for row in rows] == ["after", "before"]
    for row in rows:
        assert row["sku"].startswith(
            "Simulated by the tunestack emulator: Custom training on 1 × a2-highgpu-1g with 1"
        )
        assert (row["service"], row["project"], row["region"]) == ("Vertex AI", project, "us-central1")
        assert (row["currency"], row["simulated"], row["timed"]) == ("USD", "true", True)
        # 0.50 $ the machine and 3.70 $ its accelerator an hour, by the second
        assert row["cost"] == pytest.approx(row["seconds"] * 4.2 / 3600, rel=0.01, abs=1e-6)
    assert first["name"] != second["name"]


def test_usage_waits_for_its_dataset_over_a_kill(start, project):
    emulator = start()
    run_job(emulator, project, run="a")
    emulator.kill()
    emulator.start_again()
    client = client_of(emulator, project)
    client.create_dataset("billing_export")
    (table,) = client.list_tables("billing_export")
    assert [row["cost_type"] for row in client.list_rows(client.get_table(table.reference))] == ["regular"]
    emulator.kill()
    emulator.start_again()
    client = client_of(emulator, project)
    assert len(list(client.list_rows(client.get_table(table.reference)))) == 1


def test_a_budget_tells_its_topic_when_what_jobs_cost_passes_a_threshold(emulator, project):
    account = f"billingAccounts/{uuid.uuid4().hex[:6].upper()}-000000-000000"
    emulator.call("PUT", f"/v1/projects/{project}/billingInfo", {"billingAccountName": account})
    topic = f"projects/{project}/topics/budget"
    subscription = topic.replace("topics", "subscriptions")
    emulator.call("PUT", f"/v1/{topic}", {})
    emulator.call("PUT", f"/v1/{subscription}", {"topic": topic})
    budgets = emulator.google(budgets_v1.BudgetServiceClient)
    # A second of this machine costs 0.0012 dollars.
    amount = budgets_v1.BudgetAmount(specified_amount=money_pb2.Money(nanos=2_000_000))
    made = budgets_v1.Budget(
        display_name="tuning",
        amount=amount,
        budget_filter=budgets_v1.Filter(projects=[f"projects/{project}"], labels={"team": ["ml"]}),
        threshold_rules=[{"threshold_percent": 0.5}, {"threshold_percent": 1.0}],
        notifications_rule=budgets_v1.NotificationsRule(pubsub_topic=topic, schema_version="1.0"),
    )
    budgets.create_budget(parent=account, budget=made)

    def told():
        path = f"/v1/{subscription}:pull"
        (received,) = emulator.call("POST", path, {"maxMessages": 1})["receivedMessages"]
        emulator.call("POST", f"/v1/{subscription}:acknowledge", {"ackIds": [received["ackId"]]})
        return json.loads(base64.b64decode(received["message"]["data"]))

    assert told()["costAmount"] == 0.0
    run_job(emulator, project, team="other")
    for least in (0.5, 1.0):
        run_job(emulator, project, team="ml")
        message = told()
        reached = message["costAmount"] / message["budgetAmount"]
        assert reached >= least
        assert message["alertThresholdExceeded"] == (1.0 if reached >= 1 else 0.5)
    assert message["costIntervalStart"].endswith("-01T00:00:00.000000Z")
