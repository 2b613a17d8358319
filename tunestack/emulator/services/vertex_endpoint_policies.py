"""Vertex AI: the IAM policy of an endpoint (aiplatform.v1beta1)."""

from __future__ import annotations

from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.services import iam_policy

Json = dict[str, Any]

_ENDPOINTS = "aiplatform.projects.locations.endpoints"


@implements(f"{_ENDPOINTS}.getIamPolicy")
def get_iam_policy(call: Call) -> Json:
    return iam_policy.read_policy(call, "Endpoint")


@implements(f"{_ENDPOINTS}.setIamPolicy")
def set_iam_policy(call: Call) -> Json:
    return iam_policy.write_policy(call, "Endpoint")


@implements(f"{_ENDPOINTS}.testIamPermissions")
def test_iam_permissions(call: Call) -> Json:
    return iam_policy.held_permissions(call)
