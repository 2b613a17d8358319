"""The standard usage cost export of Cloud Billing, filled with the simulated cost of the jobs that ran here.

It goes to the dataset ``billing_export`` of the jobs' project, once that is there: usage from before waits for it.
Usage is noted in the transaction that ends a job; rows are written when the export is next looked at, for Google's,
too, comes later. Schema: cloud.google.com/billing/docs/how-to/export-data-bigquery-tables/standard-usage.

Nothing is billed and no price is Google's: every row says so in its sku and in ``system_labels``.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from tunestack.catalog.accelerators import accelerator_in
from tunestack.emulator.bigquery.fields import checked_schema, row_in
from tunestack.emulator.bigquery.model import Reference
from tunestack.emulator.bigquery.tables import (
    columns,
    create_table,
    dataset_name,
    find_table,
    partition_of,
    table_name,
)
from tunestack.emulator.state import State

Json = dict[str, Any]

DATASET = "billing_export"
_USAGE = "billingUsage"
COSTS = "billingCosts"
"""What each job that ran cost, by the number of its project."""
_NO_ACCOUNT = "000000-000000-000000"
# Dollars an hour of one of each, by the name that machine specs give them: of the order of a price list, so that
# shares and trends look as they would; not a price list.
_ACCELERATORS = {
    "NVIDIA_A100_80GB": 5.0,
    "NVIDIA_TESLA_A100": 3.7,
    "NVIDIA_H100_80GB": 11.0,
    "NVIDIA_L4": 0.7,
    "NVIDIA_TESLA_T4": 0.4,
    "TPU_V3": 2.2,
}
_OTHER_ACCELERATOR = 1.0
_MACHINE = 0.5
_TUNING = 30.0


def _field(name: str, kind: str = "STRING", fields: list[Json] | None = None, *, many: bool = False) -> Json:
    body: Json = {"name": name, "type": kind, "mode": "REPEATED" if many else "NULLABLE"}
    return {**body, "fields": fields} if fields else body


_LABEL = [_field("key"), _field("value")]
SCHEMA = checked_schema(
    [
        _field("billing_account_id"),
        _field("service", "RECORD", [_field("id"), _field("description")]),
        _field("sku", "RECORD", [_field("id"), _field("description")]),
        _field("usage_start_time", "TIMESTAMP"),
        _field("usage_end_time", "TIMESTAMP"),
        _field(
            "project",
            "RECORD",
            [
                *(_field("id"), _field("number"), _field("name"), _field("ancestry_numbers")),
                _field("labels", "RECORD", _LABEL, many=True),
                _field("ancestors", "RECORD", [_field("resource_name"), _field("display_name")], many=True),
            ],
        ),
        _field("labels", "RECORD", _LABEL, many=True),
        _field("system_labels", "RECORD", _LABEL, many=True),
        _field(
            "location", "RECORD", [_field("location"), _field("country"), _field("region"), _field("zone")]
        ),
        _field("tags", "RECORD", [*_LABEL, _field("inherited", "BOOLEAN"), _field("namespace")], many=True),
        _field("export_time", "TIMESTAMP"),
        _field("cost", "FLOAT"),
        _field("currency"),
        _field("currency_conversion_rate", "FLOAT"),
        _field(
            "usage",
            "RECORD",
            [
                *(_field("amount", "FLOAT"), _field("unit")),
                *(_field("amount_in_pricing_units", "FLOAT"), _field("pricing_unit")),
            ],
        ),
        _field(
            "credits",
            "RECORD",
            [_field("name"), _field("amount", "FLOAT"), _field("full_name"), _field("id"), _field("type")],
            many=True,
        ),
        _field("invoice", "RECORD", [_field("month"), _field("publisher_type")]),
        _field("cost_type"),
        _field(
            "adjustment_info", "RECORD", [_field("id"), _field("description"), _field("mode"), _field("type")]
        ),
        _field("cost_at_list", "FLOAT"),
        _field("transaction_type"),
        _field("seller_name"),
    ]
)


def note_usage(state: State, job: Json) -> None:
    """Note what a job that has ended used, in the transaction that ends it. One that never ran used nothing."""
    if "startTime" not in job or state.rows.find(f"usage/{job['name']}") is not None:
        return
    body: Json = {
        key: job[key] for key in ("name", "startTime", "endTime", "labels", "jobSpec") if key in job
    }
    number = job["name"].split("/")[1]
    state.rows.create(_USAGE, number, f"usage/{job['name']}", body)
    row = usage_row(body, {"id": state.projects.id(number)}, "", state.now())
    # What budgets count, whether or not anything is exported.
    cost = {key: row[key] for key in ("cost", "usage_end_time", "labels", "location", "service")}
    state.rows.create(COSTS, number, f"cost/{job['name']}", cost)
    state.database.after_commit(state.background.wake)


def usage_row(job: Json, project: Json, account: str, export_time: str) -> Json:
    """A job's row of the export. Pure."""
    _, number, _, region, collection, identifier = job["name"].split("/")
    start, end = datetime.fromisoformat(job["startTime"]), datetime.fromisoformat(job["endTime"])
    hours = max(end - start, timedelta(seconds=1)) / timedelta(hours=1)
    what, rate = _rate(collection, region, job)
    cost = round(hours * rate, 6)
    seconds = round(hours * 3600, 6)
    labels = {**job.get("labels", {}), "goog-vertex-ai-job": identifier}
    return {
        "billing_account_id": account,
        "service": {"id": "C7E2-9256-1C43", "description": "Vertex AI"},
        "sku": {
            "id": "-".join(hashlib.sha256(what.encode()).hexdigest()[i : i + 4].upper() for i in (0, 4, 8)),
            "description": f"Simulated by the tunestack emulator: {what}",
        },
        "usage_start_time": job["startTime"],
        "usage_end_time": job["endTime"],
        "project": {"id": project["id"], "number": number, "name": project["id"]},
        "labels": [{"key": key, "value": value} for key, value in sorted(labels.items())],
        "system_labels": [{"key": "tunestack/simulated", "value": "true"}],
        "location": {"location": region, "region": region},
        "export_time": export_time,
        "cost": cost,
        "cost_at_list": cost,
        "currency": "USD",
        "currency_conversion_rate": 1.0,
        "usage": {
            "amount": seconds,
            "unit": "seconds",
            "amount_in_pricing_units": round(hours, 9),
            "pricing_unit": "hour",
        },
        "invoice": {"month": end.strftime("%Y%m")},
        "cost_type": "regular",
        "transaction_type": "GOOGLE",
        "seller_name": "Google",
    }


def _rate(collection: str, region: str, job: Json) -> tuple[str, float]:
    """What a job runs on, and dollars an hour of it."""
    if collection == "customJobs":
        pools = job.get("jobSpec", {}).get("workerPoolSpecs", [])
        parts, rate = [], 0.0
        for pool in pools:
            machine = pool.get("machineSpec", {})
            count = int(pool.get("replicaCount", 1) or 1)
            kind, each = machine.get("acceleratorType"), int(machine.get("acceleratorCount", 0) or 0)
            rate += count * (_MACHINE + each * _ACCELERATORS.get(kind, _OTHER_ACCELERATOR))
            parts.append(
                f"{count} × {machine.get('machineType', 'machine')}"
                + (f" with {each} {kind}" if each else "")
            )
        return f"Custom training on {', '.join(parts) or 'a machine'}", rate or _MACHINE
    if collection == "pipelineJobs":
        accelerator = accelerator_in(region)
        if accelerator is not None:
            rate = accelerator.count * _ACCELERATORS.get(accelerator.accelerator_type, _OTHER_ACCELERATOR)
            return f"Tuning pipeline on {accelerator.description}", rate
        return "Pipeline", _MACHINE
    return "Tuning of a Gemini or open model" if collection == "tuningJobs" else collection, _TUNING


def table_of(state: State, project: str) -> Reference:
    """``gcp_billing_export_v1_…`` of the account that pays for a project."""
    account = account_of(state, project).replace("-", "_")
    return Reference(project, DATASET, f"gcp_billing_export_v1_{account}")


def ensure_table(state: State, project: str) -> Reference | None:
    """The export's table, made where the dataset is there and it is not."""
    if state.rows.find(dataset_name(project, DATASET)) is None:
        return None
    reference = table_of(state, project)
    if find_table(state, reference) is None:
        create_table(
            state,
            {
                "tableReference": {"projectId": project, "datasetId": DATASET, "tableId": reference.table},
                "description": "Simulated by the tunestack emulator: no cost of Google's",
                "timePartitioning": {"type": "DAY"},
                "schema": {"fields": SCHEMA},
            },
        )
    return reference


async def settle(state: State) -> None:
    """Write the usage that waits for its export, each once: the rows and the end of the waiting are one transaction."""
    waiting: defaultdict[str, list[Json]] = defaultdict(list)
    for usage in state.rows.list(_USAGE):
        waiting[usage["name"].split("/")[1]].append(usage)
    for number, jobs in waiting.items():
        project = state.projects.id(number)
        with state.database.transaction():
            reference = ensure_table(state, project)
        if reference is None:
            continue
        table = find_table(state, reference) or {}
        account, now, partition = account_of(state, project), state.now(), partition_of(state, table)
        rows = [
            {**row_in(SCHEMA, usage_row(job, {"id": project}, account, now)), "_PARTITIONTIME": partition}
            for job in jobs
        ]
        with state.warehouse.reading():
            segment = await state.warehouse.write_rows(columns(table), rows)
            with state.database.transaction():
                names = [f"usage/{job['name']}" for job in jobs]
                # Another request may have exported them meanwhile; then its rows are the ones.
                if find_table(state, reference) is None or not all(map(state.rows.find, names)):
                    continue
                state.warehouse.append(table_name(reference), [segment])
                for name in names:
                    state.rows.delete(name)


def account_of(state: State, project: str) -> str:
    """The billing account that pays for a project (by id)."""
    for row in state.rows.list("billingInfos"):
        if row.get("projectId") == project and row.get("billingAccountName"):
            return str(row["billingAccountName"].rpartition("/")[2])
    return _NO_ACCOUNT
