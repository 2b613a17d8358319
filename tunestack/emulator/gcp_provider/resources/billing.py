"""gcp.billing.Budget: https://cloud.google.com/billing/docs/reference/budget/rest."""

from __future__ import annotations

from tunestack.emulator.gcp_provider.declared import declared
from tunestack.emulator.gcp_provider.resources.names import last_part
from tunestack.emulator.gcp_provider.schema import Call, ResourceType

_BUDGETS = "billingAccounts/{billingAccount}/budgets"
BUDGET = ResourceType(
    name="gcp:billing/budget:Budget",
    service="billing",
    id=_BUDGETS + "/{name}",
    imports=("{billingAccount}/{name}",),
    create=Call("POST", _BUDGETS),
    read=Call("GET", _BUDGETS + "/{name}"),
    update=Call("PATCH", _BUDGETS + "/{name}"),
    delete=Call("DELETE", _BUDGETS + "/{name}"),
    properties=declared(
        "gcp:billing/budget:Budget",
        address="billingAccount",
        replaces="billingAccount",
        server="""amount.specifiedAmount.currencyCode budgetFilter budgetFilter.labels budgetFilter.services
            budgetFilter.calendarPeriod""",
        unordered="budgetFilter.projects budgetFilter.resourceAncestors budgetFilter.services",
        default={
            "allUpdatesRule.disableDefaultIamRecipients": False,
            "allUpdatesRule.enableProjectLevelRecipients": False,
            "allUpdatesRule.schemaVersion": "1.0",
            "budgetFilter.creditTypesTreatment": "INCLUDE_ALL_CREDITS",
            "thresholdRules.spendBasis": "CURRENT_SPEND",
        },
        rest={"allUpdatesRule": "notificationsRule"},
        also={
            # A message without fields says: as much as in the last period.
            "amount.lastPeriodAmount": {
                "encode": lambda wanted: {} if wanted else None,
                "decode": lambda found: found is not None or None,
            },
            "budgetFilter.labels": {
                "encode": lambda labels: {key: [value] for key, value in labels.items()},
                "decode": lambda labels: labels and {key: values[0] for key, values in labels.items()},
            },
            "name": {"decode": lambda name: name and last_part(name)},
        },
    ),
)
TYPES = (BUDGET,)
