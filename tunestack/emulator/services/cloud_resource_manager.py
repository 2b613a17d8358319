"""Resource Manager: projects and their IAM policies (cloudresourcemanager.v1, v3)."""

from __future__ import annotations

from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.services.iam_policy import policy_of, replace_policy

Json = dict[str, Any]


def _project(call: Call) -> tuple[str, str]:
    """Id and number of the project in the path (v1 names it alone, v3 as ``projects/P``)."""
    name = next(call.path[key] for key in ("projectId", "resource", "name") if key in call.path)
    project = name.removeprefix("projects/")
    return call.state.projects.id(project), call.state.projects.number(project)


@implements("cloudresourcemanager.projects.get")
def get(call: Call) -> Json:
    project, number = _project(call)
    created = "2024-01-01T00:00:00.000000Z"
    if call.method.version == "v1":
        return {
            "projectId": project,
            "projectNumber": number,
            "name": project,
            "lifecycleState": "ACTIVE",
            "createTime": created,
        }
    return {
        "name": f"projects/{number}",
        "projectId": project,
        "displayName": project,
        "state": "ACTIVE",
        "createTime": created,
        "updateTime": created,
    }


@implements("cloudresourcemanager.projects.getIamPolicy")
def get_iam_policy(call: Call) -> Json:
    _, number = _project(call)
    return policy_of(call, f"projects/{number}")


@implements("cloudresourcemanager.projects.setIamPolicy")
def set_iam_policy(call: Call) -> Json:
    _, number = _project(call)
    return replace_policy(call, f"projects/{number}")


@implements("cloudresourcemanager.projects.testIamPermissions")
def test_iam_permissions(call: Call) -> Json:
    return {"permissions": call.body.get("permissions", [])}
