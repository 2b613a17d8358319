"""403 and 401 as Google words them.

Vertex AI's, IAM's and Resource Manager's bodies: answers quoted in issues of googleapis clients (2021-2026). Cloud
Storage's: what its client libraries' issues quote. BigQuery's: its troubleshooting page.
"""

from __future__ import annotations

from tunestack.emulator.access.policy import ANONYMOUS
from tunestack.emulator.access.resources import Resource
from tunestack.emulator.errors import ApiError

_AUTHENTICATION = (
    "Expected OAuth 2 access token, login cookie or other valid authentication credential."
    " See https://developers.google.com/identity/sign-in/web/devconsole-project."
)


def denied(service: str, permission: str, resource: Resource, principal: str) -> ApiError:
    """403; for Cloud Storage without a token 401."""
    domain = f"{service}.googleapis.com"
    if service == "storage":
        message = storage_words(permission, resource, principal)
        if principal == ANONYMOUS:
            return ApiError("UNAUTHENTICATED", message, reason="required")
        return ApiError("PERMISSION_DENIED", message, reason="forbidden")
    if principal == ANONYMOUS:
        return unauthenticated(
            service, "CREDENTIALS_MISSING", "Request is missing required authentication credential."
        )
    if service == "bigquery":
        project = resource.name.split("/")[1]
        message = f"Access Denied: Project {project}: User does not have {permission} permission in project {project}."
        return ApiError("PERMISSION_DENIED", message, reason="accessDenied")
    where = (
        f"for resource '{resource.name}'"
        if service == "secretmanager"
        else f"on resource '//{domain}/{resource.name}'"
    )
    return ApiError(
        "PERMISSION_DENIED",
        f"Permission '{permission}' denied {where} (or it may not exist).",
        details=[
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "IAM_PERMISSION_DENIED",
                "domain": domain,
                "metadata": {"resource": resource.name, "permission": permission},
            }
        ],
    )


def storage_words(permission: str, resource: Resource, principal: str) -> str:
    """What Cloud Storage answers, and jobs repeat that may not read or write."""
    what = {"Object": "Google Cloud Storage object", "Bucket": "Google Cloud Storage bucket"}.get(
        resource.type.rpartition("/")[2], "Google Cloud project"
    )
    who = "Anonymous caller" if principal == ANONYMOUS else principal
    return (
        f"{who} does not have {permission} access to the {what}."
        f" Permission '{permission}' denied on resource (or it may not exist)."
    )


def unauthenticated(service: str, reason: str, sentence: str) -> ApiError:
    """401 for a call without a token, or with one that nobody gave out."""
    if service == "storage":
        return ApiError("UNAUTHENTICATED", "Invalid Credentials", reason="authError")
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": f"{service}.googleapis.com"},
    }
    return ApiError("UNAUTHENTICATED", f"{sentence} {_AUTHENTICATION}", details=[info])


def not_acting_as(email: str) -> ApiError:
    """400, not 403: so Vertex AI answers (googleapis/python-aiplatform#1073)."""
    return ApiError(
        "INVALID_ARGUMENT",
        f"You do not have permission to act as service_account: {email}. (or it may not exist).",
    )
