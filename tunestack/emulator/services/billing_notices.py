"""Cloud Billing budgets: what was spent, and what a budget's topic is told of it.

cloud.google.com/billing/docs/how-to/budgets-programmatic-notifications#notification-format. Google tells the topic
several times a day; here it is told when the budget is made or changed, and when another job has cost something. What
is spent is the simulated cost of the billing export (`bigquery.billing_export`), of the projects that the budget's
account pays for. A forecast goes on as the period began: Google's knows more.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from tunestack.emulator.background import in_background
from tunestack.emulator.bigquery.billing_export import COSTS, account_of
from tunestack.emulator.services.pubsub_state import publish_to
from tunestack.emulator.services.times import moment, written
from tunestack.emulator.state import State

Json = dict[str, Any]

BUDGETS = "budgets"
CURRENCY = "USD"  # of every billing account here

_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}


@in_background
async def tell_of_costs(state: State) -> datetime | None:
    """Tell the topics of budgets whose spending is another than they were told of."""
    with state.database.transaction():
        for budget in state.rows.list(BUDGETS):
            if budget.get("notificationsRule", {}).get("pubsubTopic"):
                last = state.rows.find(told_key(budget["name"])) or {}
                if last.get("cost") != _spent(state, budget, *period(budget, state.clock())):
                    tell(state, budget)
    return None


def tell(state: State, budget: Json) -> None:
    """Tell a budget's topic, if it has one, what was spent in its period and which thresholds that is beyond."""
    topic = state.projects.canonical(budget.get("notificationsRule", {}).get("pubsubTopic", ""))
    if not topic:
        return
    _, account, _, identifier = budget["name"].split("/")
    now = state.clock()
    start, end = period(budget, now)
    cost = _spent(state, budget, start, end)
    amount = _amount(state, budget, start, end)
    beyond = _exceeded(budget, "CURRENT_SPEND", cost, amount)
    elapsed = max((min(now, end) - start) / (end - start), 1e-6)
    forecast = _exceeded(budget, "FORECASTED_SPEND", cost / elapsed, amount)
    message = {
        "budgetDisplayName": budget.get("displayName", ""),
        **({"alertThresholdExceeded": beyond} if beyond is not None else {}),
        **({"forecastThresholdExceeded": forecast} if forecast is not None else {}),
        "costAmount": cost,
        "costIntervalStart": written(start),
        "budgetAmount": amount,
        "budgetAmountType": _amount_type(budget),
        "currencyCode": CURRENCY,
    }
    attributes = {"billingAccountId": account, "budgetId": identifier, "schemaVersion": "1.0"}
    data = base64.b64encode(orjson.dumps(message)).decode()
    if state.rows.find(topic) is not None:
        publish_to(state, topic, [{"data": data, "attributes": attributes}])
    key = told_key(budget["name"])
    if state.rows.find(key) is None:
        state.rows.create("budgetsTold", budget["name"], key, {"cost": cost})
    else:
        state.rows.put(key, {"cost": cost})


def told_key(budget: str) -> str:
    """Where is kept what a budget's topic was told last."""
    return f"told/{budget}"


def period(budget: Json, now: datetime) -> tuple[datetime, datetime]:
    """The start and the end of a budget's current period (Google counts days in Pacific time; here in UTC)."""
    chosen = budget["budgetFilter"]
    if "customPeriod" in chosen:
        start = _day(chosen["customPeriod"]["startDate"])
        last = chosen["customPeriod"].get("endDate")
        return start, _day(last) + timedelta(days=1) if last else max(now, start + timedelta(days=1))
    months = _MONTHS[chosen.get("calendarPeriod", "MONTH")]
    midnight = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    start = midnight.replace(month=(midnight.month - 1) // months * months + 1)
    return start, _months_later(start, months)


def _spent(state: State, budget: Json, start: datetime, end: datetime) -> float:
    """What the jobs that a budget is about cost in an interval, in dollars."""
    chosen = budget["budgetFilter"]
    account = budget["name"].split("/")[1]
    wanted = {name.partition("/")[2] for name in chosen.get("projects", [])}
    services = {name.partition("/")[2] for name in chosen.get("services", [])}
    total = 0.0
    for number in {row[0] for row in _payers(state)}:
        if account_of(state, state.projects.id(number)) != account or (wanted and number not in wanted):
            continue
        for row in state.rows.list(COSTS, number):
            labels = {label["key"]: label["value"] for label in row["labels"]}
            if (
                start <= moment(row["usage_end_time"]) < end
                and (not services or row["service"]["id"] in services)
                and all(labels.get(key) in values for key, values in chosen.get("labels", {}).items())
            ):
                total += row["cost"]
    return round(total, 6)


def _payers(state: State) -> list[tuple[Any, ...]]:
    """The numbers of the projects where anything was spent."""
    return state.database.execute("SELECT DISTINCT parent FROM resource WHERE collection = ?", COSTS)


def _amount(state: State, budget: Json, start: datetime, end: datetime) -> float:
    specified = budget["amount"].get("specifiedAmount")
    if specified is not None:
        return int(specified.get("units", 0)) + float(specified.get("nanos", 0)) / 1e9
    months = _MONTHS.get(budget["budgetFilter"].get("calendarPeriod", ""))
    before = _months_later(start, -months) if months else start - (end - start)
    return _spent(state, budget, before, start)


def _amount_type(budget: Json) -> str:
    if "specifiedAmount" in budget["amount"]:
        return "SPECIFIED_AMOUNT"
    monthly = budget["budgetFilter"].get("calendarPeriod") == "MONTH"
    return "LAST_MONTH_COST" if monthly else "LAST_PERIODS_COST"


def _exceeded(budget: Json, basis: str, cost: float, amount: float) -> float | None:
    """The highest threshold of a kind that a cost has come to."""
    reached = [
        float(rule["thresholdPercent"])
        for rule in budget.get("thresholdRules", [])
        if rule["spendBasis"] == basis and amount > 0 and cost >= rule["thresholdPercent"] * amount
    ]
    return max(reached, default=None)


def _months_later(start: datetime, months: int) -> datetime:
    count = start.year * 12 + start.month - 1 + months
    return start.replace(year=count // 12, month=count % 12 + 1)


def _day(date: Json) -> datetime:
    return datetime(date["year"], date["month"], date["day"], tzinfo=UTC)
