"""Service Usage: which APIs a project has switched on (serviceusage.v1)."""

from __future__ import annotations

import hashlib
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import invalid
from tunestack.emulator.list_filter import parse
from tunestack.emulator.services.paging import page

Json = dict[str, Any]

SERVICES = "services"
#: Services whose agent is not called after them.
_AGENTS = {"storage": "gs-project-accounts", "storagetransfer": "storage-transfer-service"}


def _service(call: Call, name: str) -> Json:
    """``projects/P/services/S``; a service nobody has touched is disabled."""
    name = call.state.projects.canonical(name)
    parent, _, service = name.rpartition("/services/")
    disabled = {"name": name, "parent": parent, "config": {"name": service}, "state": "DISABLED"}
    return call.state.rows.find(name) or disabled


def _set(call: Call, name: str, state: str) -> Json:
    row = {**_service(call, name), "state": state}
    if call.state.rows.find(row["name"]) is None:
        call.state.rows.create(SERVICES, row["parent"], row["name"], row)
    else:
        call.state.rows.put(row["name"], row)
    return row


def _operation(message: str, response: Json) -> Json:
    """Done on arrival; Google's own instant operations are called so too."""
    return {
        "name": "operations/noop.DONE_OPERATION",
        "done": True,
        "response": {"@type": f"type.googleapis.com/google.api.serviceusage.v1.{message}", **response},
    }


@implements("serviceusage.services.get")
def get(call: Call) -> Json:
    return _service(call, call.path["name"])


@implements("serviceusage.services.list")
def list_services(call: Call) -> Json:
    keep = parse(call.query.get("filter", "").replace("state:", "state="))
    rows = [row for row in call.state.rows.list(SERVICES, call.parent()) if keep(row)]
    rows, token = page(rows, call.query.get("pageSize"), call.query.get("pageToken"), default=50)
    return {"services": rows, **({"nextPageToken": token} if token else {})}


@implements("serviceusage.services.enable")
def enable(call: Call) -> Json:
    return _operation("EnableServiceResponse", {"service": _set(call, call.path["name"], "ENABLED")})


@implements("serviceusage.services.disable")
def disable(call: Call) -> Json:
    return _operation("DisableServiceResponse", {"service": _set(call, call.path["name"], "DISABLED")})


@implements("serviceusage.services.batchEnable")
def batch_enable(call: Call) -> Json:
    names = call.body.get("serviceIds", [])
    if not 1 <= len(names) <= 20:
        raise invalid("A batch request must name between 1 and 20 services.")
    rows = [_set(call, f"{call.path['parent']}/services/{name}", "ENABLED") for name in names]
    return _operation("BatchEnableServicesResponse", {"services": rows})


@implements("serviceusage.services.generateServiceIdentity")
def generate_identity(call: Call) -> Json:
    """The agent's address: of the project's number and the service (cloud.google.com/iam/docs/service-agents)."""
    name = call.state.projects.canonical(call.path["parent"])
    number, service = name.split("/")[1], name.rpartition("/")[2].partition(".")[0]
    agent = _AGENTS.get(service, f"gcp-sa-{service}")
    email = f"service-{number}@{agent}.iam.gserviceaccount.com"
    unique = str(int.from_bytes(hashlib.sha256(email.encode()).digest()[:8]) + 10**20)
    return {
        "name": "operations/finished.DONE_OPERATION",
        "done": True,
        "response": {
            "@type": "type.googleapis.com/google.api.serviceusage.v1beta1.ServiceIdentity",
            "email": email,
            "uniqueId": unique,
        },
    }


@implements("serviceusage.operations.get")
def get_operation(call: Call) -> Json:
    return {"name": call.path["name"], "done": True, "response": {}}
