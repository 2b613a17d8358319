"""Cloud Billing: accounts, and which of them pays for a project (cloudbilling.v1).

Accounts are made in the console, not by the API: any id is an open account here, as any id is a project.
"""

from __future__ import annotations

import re
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import invalid
from tunestack.emulator.services.billing_notices import CURRENCY
from tunestack.emulator.services.resources import listed

Json = dict[str, Any]

BILLING_INFOS = "billingInfos"


@implements("cloudbilling.projects.getBillingInfo")
def get_billing_info(call: Call) -> Json:
    return _billing_info(call)


@implements("cloudbilling.projects.updateBillingInfo")
def update_billing_info(call: Call) -> Json:
    account = call.body.get("billingAccountName", "")
    if account and not re.fullmatch(r"billingAccounts/[^/]+", account):
        raise invalid(
            f"Invalid billing account '{account}': it has the form billingAccounts/ID.",
            [("billingAccountName", "billingAccounts/ID")],
        )
    state, key = call.state, f"{call.parent('name')}/billingInfo"
    row = {**_billing_info(call), "billingAccountName": account, "billingEnabled": bool(account)}
    if state.rows.find(key) is None:
        return state.rows.create(BILLING_INFOS, call.parent("name"), key, row)
    return state.rows.put(key, row)


@implements("cloudbilling.billingAccounts.get")
def get_account(call: Call) -> Json:
    return _account(call.path["name"])


@implements("cloudbilling.billingAccounts.list")
def list_accounts(call: Call) -> Json:
    """The accounts that pay for a project."""
    names = {row["billingAccountName"] for row in call.state.rows.list(BILLING_INFOS)} - {""}
    return listed(call, [_account(name) for name in sorted(names)], "billingAccounts")


@implements("cloudbilling.billingAccounts.projects.list")
def list_projects(call: Call) -> Json:
    rows = call.state.rows.list(BILLING_INFOS)
    paid = [row for row in rows if row["billingAccountName"] == call.path["name"]]
    return listed(call, paid, "projectBillingInfo")


def _billing_info(call: Call) -> Json:
    project = call.state.projects.id(call.path["name"].removeprefix("projects/"))
    nobody = {
        "name": f"projects/{project}/billingInfo",
        "projectId": project,
        "billingAccountName": "",
        "billingEnabled": False,
    }
    return call.state.rows.find(f"{call.parent('name')}/billingInfo") or nobody


def _account(name: str) -> Json:
    return {
        "name": name,
        "displayName": f"{name.partition('/')[2]} of the emulator",
        "open": True,
        "currencyCode": CURRENCY,
    }
