"""Cloud Billing budgets (billingbudgets.v1). Any billing account is there, as any project is.

What is spent against them is the simulated cost of the jobs that ran here: `billing_notices`.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import invalid
from tunestack.emulator.services.billing_notices import BUDGETS, CURRENCY, tell, told_key
from tunestack.emulator.services.resources import (
    create_row,
    delete_row,
    keep_row,
    list_rows,
    named_row,
    patched_row,
)
from tunestack.emulator.state import State

Json = dict[str, Any]

_BUDGETS = "billingbudgets.billingAccounts.budgets"
_CHANNELS_AT_MOST = 5


@implements(f"{_BUDGETS}.create")
def create(call: Call) -> Json:
    call.body = _completed(call.body, call.state)
    row = create_row(call, BUDGETS, f"{call.path['parent']}/{BUDGETS}/{uuid.uuid4()}")
    tell(call.state, row)
    return row


@implements(f"{_BUDGETS}.get")
def get(call: Call) -> Json:
    return named_row(call)


@implements(f"{_BUDGETS}.list")
def list_budgets(call: Call) -> Json:
    return list_rows(call, BUDGETS)


@implements(f"{_BUDGETS}.patch")
def patch(call: Call) -> Json:
    row = keep_row(call, _completed(patched_row(call, whole=True), call.state))
    tell(call.state, row)
    return row


@implements(f"{_BUDGETS}.delete")
def delete(call: Call) -> Json:
    call.state.rows.delete(told_key(call.path["name"]))
    return delete_row(call)


def _completed(budget: Json, state: State) -> Json:
    """The budget with Google's defaults and projects by number. Raises 400 with all that its prose forbids.

    Prose and defaults: cloud.google.com/billing/docs/reference/budget/rest/v1/billingAccounts.budgets
    """
    chosen = dict(budget.get("budgetFilter", {}))
    rules = budget.get("thresholdRules", [])
    notifications = budget.get("notificationsRule", {})
    amount = budget.get("amount", {})
    problems: list[tuple[str, str]] = []
    if len(budget.get("displayName", "")) > 60:
        problems.append(("budget.display_name", "The display name must have at most 60 characters."))
    if ("specifiedAmount" in amount) == ("lastPeriodAmount" in amount):
        problems.append(("budget.amount", "One of specified_amount and last_period_amount must be set."))
    currency = amount.get("specifiedAmount", {}).get("currencyCode") or CURRENCY
    if currency != CURRENCY:
        problems.append(
            ("budget.amount", f"The currency must be {CURRENCY}, the billing account's, not {currency}.")
        )
    problems += [
        ("budget.budget_filter.projects", f"'{name}' is not of the form projects/PROJECT.")
        for name in chosen.get("projects", [])
        if not re.fullmatch(r"projects/[^/]+", name)
    ]
    if "calendarPeriod" in chosen and "customPeriod" in chosen:
        problems.append(("budget.budget_filter", "A period is either calendar_period or custom_period."))
    if len(chosen.get("labels", {})) > 1:
        problems.append(("budget.budget_filter.labels", "Only one label is allowed."))
    specified = chosen.get("creditTypesTreatment") == "INCLUDE_SPECIFIED_CREDITS"
    if specified != bool(chosen.get("creditTypes")):
        problems.append(
            ("budget.budget_filter.credit_types", "They go with INCLUDE_SPECIFIED_CREDITS, and only with it.")
        )
    if any(rule["thresholdPercent"] < 0 for rule in rules if isinstance(rule.get("thresholdPercent"), float)):
        problems.append(("budget.threshold_rules", "A threshold must not be negative."))
    if len(notifications.get("monitoringNotificationChannels", [])) > _CHANNELS_AT_MOST:
        problems.append(
            ("budget.notifications_rule", f"At most {_CHANNELS_AT_MOST} notification channels are allowed.")
        )
    if notifications.get("pubsubTopic") and notifications.get("schemaVersion") != "1.0":
        problems.append(("budget.notifications_rule.schema_version", "It must be 1.0 with a pubsub_topic."))
    topic = notifications.get("pubsubTopic")
    if topic and state.rows.find(state.projects.canonical(topic)) is None:
        problems.append(("budget.notifications_rule.pubsub_topic", f"The topic {topic} does not exist."))
    if problems:
        raise invalid("\n".join(text for _, text in problems), problems)
    if "projects" in chosen:
        chosen["projects"] = [state.projects.canonical(name) for name in chosen["projects"]]
    if "customPeriod" not in chosen:
        chosen.setdefault("calendarPeriod", "MONTH")
    chosen.setdefault("creditTypesTreatment", "INCLUDE_ALL_CREDITS")
    if "specifiedAmount" in amount:
        amount = {"specifiedAmount": {**amount["specifiedAmount"], "currencyCode": currency}}
    return {
        **budget,
        "amount": amount,
        "budgetFilter": chosen,
        **({"thresholdRules": [{"spendBasis": "CURRENT_SPEND", **rule} for rule in rules]} if rules else {}),
    }
