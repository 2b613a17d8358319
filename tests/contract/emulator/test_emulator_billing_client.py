"""google-cloud-billing-budgets, unchanged, over REST against the emulator; project billing info by discovery."""

from __future__ import annotations

import base64
import json
import uuid

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud.billing import budgets_v1
from google.protobuf import field_mask_pb2
from google.type import money_pb2
from googleapiclient import discovery

ACCOUNT = "billingAccounts/012345-6789AB-CDEF01"


@pytest.fixture(scope="module")
def budgets(emulator):
    return emulator.google(budgets_v1.BudgetServiceClient)


def budget(units=50, **fields):
    amount = budgets_v1.BudgetAmount(specified_amount=money_pb2.Money(units=units))
    return budgets_v1.Budget(display_name="tuning", amount=amount, **fields)


def test_a_budget_reads_back_with_googles_defaults(budgets):
    made = budgets.create_budget(
        parent=ACCOUNT,
        budget=budget(
            budget_filter=budgets_v1.Filter(projects=["projects/p1"]),
            threshold_rules=[
                budgets_v1.ThresholdRule(threshold_percent=0.5),
                budgets_v1.ThresholdRule(
                    threshold_percent=1.0, spend_basis=budgets_v1.ThresholdRule.Basis.FORECASTED_SPEND
                ),
            ],
        ),
    )
    assert budgets.get_budget(name=made.name) == made
    assert made.name.startswith(ACCOUNT + "/budgets/")
    assert made.amount.specified_amount.currency_code == "USD"
    assert made.budget_filter.calendar_period.name == "MONTH"
    assert made.budget_filter.projects[0].removeprefix("projects/").isdigit()
    assert [rule.spend_basis.name for rule in made.threshold_rules] == ["CURRENT_SPEND", "FORECASTED_SPEND"]
    assert made.name in [found.name for found in budgets.list_budgets(parent=ACCOUNT)]


def test_a_budget_changes_under_a_mask_and_not_over_a_change_that_was_not_seen(budgets):
    made = budgets.create_budget(parent=ACCOUNT, budget=budget())
    change = budgets_v1.Budget(name=made.name, display_name="more", etag=made.etag)
    mask = field_mask_pb2.FieldMask(paths=["display_name"])
    changed = budgets.update_budget(request={"budget": change, "update_mask": mask})
    assert (changed.display_name, changed.amount) == ("more", made.amount)
    with pytest.raises(exceptions.Conflict, match="etag"):
        budgets.update_budget(request={"budget": change, "update_mask": mask})
    budgets.delete_budget(name=made.name)
    with pytest.raises(exceptions.NotFound):
        budgets.get_budget(name=made.name)


def test_a_budget_that_google_forbids_is_refused_with_every_problem(budgets):
    with pytest.raises(exceptions.BadRequest) as refused:
        budgets.create_budget(
            parent=ACCOUNT,
            budget=budgets_v1.Budget(
                display_name="x" * 61,
                amount=budgets_v1.BudgetAmount(),
                budget_filter=budgets_v1.Filter(projects=["p1"]),
                notifications_rule=budgets_v1.NotificationsRule(pubsub_topic="projects/p1/topics/budget"),
            ),
        )
    for words in (
        "at most 60",
        "specified_amount and last_period",
        "'p1' is not of the form",
        "must be 1.0",
        "does not exist",
    ):
        assert words in refused.value.message


def test_a_budgets_topic_is_told_what_was_spent(emulator, budgets):
    topic = f"projects/p1/topics/budget-{uuid.uuid4().hex[:8]}"
    subscription = topic.replace("topics", "subscriptions")
    emulator.call("PUT", f"/v1/{topic}", {})
    emulator.call("PUT", f"/v1/{subscription}", {"topic": topic})
    rule = budgets_v1.NotificationsRule(pubsub_topic=topic, schema_version="1.0")
    made = budgets.create_budget(parent=ACCOUNT, budget=budget(50, notifications_rule=rule))
    (received,) = emulator.call("POST", f"/v1/{subscription}:pull", {"maxMessages": 5})["receivedMessages"]
    message = received["message"]
    assert message["attributes"]["budgetId"] == made.name.rpartition("/")[2]
    told = json.loads(base64.b64decode(message["data"]))
    assert (told["costAmount"], told["budgetAmount"], told["currencyCode"]) == (0.0, 50, "USD")


def test_a_project_is_paid_for_by_the_account_that_it_was_linked_to(emulator):
    project = f"paid-{uuid.uuid4().hex[:8]}"
    billing = discovery.build(
        "cloudbilling",
        "v1",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": emulator.url},
        static_discovery=True,
    )
    name = f"projects/{project}"
    assert billing.projects().getBillingInfo(name=name).execute()["billingEnabled"] is False
    linked = billing.projects().updateBillingInfo(name=name, body={"billingAccountName": ACCOUNT}).execute()
    assert billing.projects().getBillingInfo(name=name).execute() == linked
    assert linked["billingEnabled"] is True
    paid = billing.billingAccounts().projects().list(name=ACCOUNT).execute()["projectBillingInfo"]
    assert project in [info["projectId"] for info in paid]
    assert billing.billingAccounts().get(name=ACCOUNT).execute()["open"] is True
