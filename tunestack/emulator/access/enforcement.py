"""IAM at the door: whether the one who calls may, asked of the policies that are kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tunestack.emulator.access import roles
from tunestack.emulator.access.conditions import Request
from tunestack.emulator.access.datasets import dataset_bindings, is_dataset
from tunestack.emulator.access.denials import denied, not_acting_as, storage_words, unauthenticated
from tunestack.emulator.access.permissions import operation_permission, permission_of
from tunestack.emulator.access.policy import ANONYMOUS, grants, identities, roles_of
from tunestack.emulator.access.resources import (
    Resource,
    account_resource,
    bucket_resource,
    named_resource,
    resource_of,
)

if TYPE_CHECKING:
    from tunestack.emulator.call import Call
    from tunestack.emulator.state import State

Json = dict[str, Any]

UNKNOWN = "bearer"
"""Who calls with a token that nobody gave out."""

_SERVICE_AGENT = re.compile(r"service-(\d+)@(gcp-sa-[\w-]+)\.iam\.gserviceaccount\.com")
_COMPUTE = re.compile(r"(\d+)-compute@developer\.gserviceaccount\.com")
_ACCOUNT = re.compile(r"[^@]+@([^.]+)\.iam\.gserviceaccount\.com")
# Google grants them with the API (cloud.google.com/iam/docs/service-agents); another agent has none here.
_AGENTS = {
    "gcp-sa-aiplatform": "roles/aiplatform.serviceAgent",
    "gcp-sa-aiplatform-cc": "roles/aiplatform.customCodeServiceAgent",
    "gcp-sa-vertex-tune": "roles/aiplatform.tuningServiceAgent",
    "gcp-sa-vertex-moss-ft": "roles/aiplatform.tuningServiceAgent",
}
_BASIC = {"roles/owner": "projectOwner", "roles/editor": "projectEditor", "roles/viewer": "projectViewer"}


class Access:
    """Answers for one `State`. ``enforced`` False permits everything to everyone.

    ``anonymous_is_local`` takes a call without a token for the local credentials': Google's storage clients send none
    to an emulator. False answers it as Google does.
    """

    def __init__(self, state: State, *, enforced: bool, local: str) -> None:
        self._state = state
        self.enforced = enforced
        self.anonymous_is_local = True
        self.local = local

    def require(self, call: Call) -> None:
        """Raises 403 (or 401) where the caller lacks what the method asks for."""
        permission = permission_of(call.method.id)
        if not self.enforced or permission is None:
            return
        service = call.method.service
        if ".operations." in call.method.id and (others := self._operation_permission(call)):
            service, permission = others.partition(".")[0], others
        principal = self._principal(call)
        resource = resource_of(call)
        if resource is not None:
            self._require(service, principal, permission, resource)
        for more, bucket, name in _sources(call):
            source = bucket_resource(self._state, bucket, name)
            if source is not None:
                self._require(service, principal, more, source)
        if "destinationObject" in call.path:
            bucket = call.path.get("destinationBucket") or call.path["bucket"]
            self.require_overwrite(call, bucket, call.path["destinationObject"])

    def require_creation(self, call: Call, bucket: str, name: str) -> None:
        """Raises 403 where the caller may not put an object, whose name is known once its upload was read."""
        resource = bucket_resource(self._state, bucket, name) if self.enforced else None
        if resource is not None:
            self._require("storage", self._principal(call), "storage.objects.create", resource)
            self.require_overwrite(call, bucket, name)

    def require_overwrite(self, call: Call, bucket: str, name: str) -> None:
        """Raises 403 where an object is in the way that the caller may not delete."""
        if not self.enforced:
            return
        resource = bucket_resource(self._state, bucket, name)
        there = self._state.database.one(
            "SELECT 1 FROM object WHERE bucket = ? AND name = ? AND live", bucket, name
        )
        if resource is not None and there:
            self._require("storage", self._principal(call), "storage.objects.delete", resource)

    def permitted(self, call: Call, permissions: list[str]) -> list[str]:
        """Those of ``permissions`` that the caller has on what the call names (``testIamPermissions``)."""
        resource = resource_of(call)
        if not self.enforced or resource is None:
            return permissions
        principal = self._principal(call)
        return [permission for permission in permissions if self.allows(principal, permission, resource)]

    def require_acting_as(self, call: Call, email: str) -> None:
        """Raises 400, as Vertex AI does, where the caller may not let something run as the account ``email``."""
        if not self.enforced or _SERVICE_AGENT.fullmatch(email):
            return
        project = project_of(email)
        if project is None or not self.exists(email):
            raise not_acting_as(email)
        resource = account_resource(self._state, email, project)
        if not self.allows(self._principal(call), "iam.serviceAccounts.actAs", resource):
            raise not_acting_as(email)

    def problem_with_object(self, email: str, permission: str, bucket: str, name: str) -> str | None:
        """Why an account may not do something to an object, in Cloud Storage's words; None where it may."""
        resource = bucket_resource(self._state, bucket, name) if self.enforced else None
        if resource is None or self.allows(email, permission, resource):
            return None
        return storage_words(permission, resource, email)

    def may(self, email: str, permission: str, resource: Resource) -> bool:
        """Whether an account may do something by itself, as the writer of a sink does: always where none is asked."""
        return not self.enforced or self.allows(email, permission, resource)

    def problem_with(self, email: str, permission: str, name: str) -> str | None:
        """Why an account may not do what a permission lets do to a named resource, in Google's words; None: it may."""
        shown = self._state.projects.by_id(name)
        service = permission.partition(".")[0]
        resource = named_resource(self._state, shown, f"{service}.googleapis.com")
        if self.may(email, permission, resource):
            return None
        return denied(service, permission, resource, email).message

    def lacks_in_bucket(self, email: str, bucket: str, name: str, *permissions: str) -> list[str]:
        """Those of ``permissions`` that an account has not on a bucket's objects below ``name``.

        None where there is no such bucket, which whoever reads it says better.
        """
        resource = bucket_resource(self._state, bucket, name)
        if resource is None:
            return []
        return [permission for permission in permissions if not self.may(email, permission, resource)]

    def exists(self, email: str) -> bool:
        """Whether an account is there and enabled; Google's own and the local one always are."""
        if email == self.local or _SERVICE_AGENT.fullmatch(email) or _COMPUTE.fullmatch(email):
            return True
        row = self._state.rows.find(f"serviceAccounts/{email}")
        return row is not None and not row.get("disabled")

    def allows(self, principal: str, permission: str, resource: Resource) -> bool:
        """Whether any policy from the resource up to its project gives ``permission`` to ``principal``."""
        members = set(identities(principal))
        for policy in resource.policies:
            if (number := policy.removeprefix("projects/")).isdigit():
                held = roles_of(self._bindings(policy), members)
                project = self._state.projects.id(number)
                members |= {f"{noun}:{project}" for role, noun in _BASIC.items() if role in held}
        request = Request(self._state.clock(), resource.name, resource.type, resource.service)
        return any(
            grants(self._bindings(policy), members, permission, request, self._permits)
            for policy in resource.policies
        )

    def _require(self, service: str, principal: str, permission: str, resource: Resource) -> None:
        if not self.allows(principal, permission, resource):
            raise denied(service, permission, resource, principal)

    def _principal(self, call: Call) -> str:
        if call.principal == UNKNOWN:
            raise unauthenticated(
                call.method.service,
                "ACCESS_TOKEN_TYPE_UNSUPPORTED",
                "Request had invalid authentication credentials.",
            )
        if call.principal == ANONYMOUS and self.anonymous_is_local:
            return self.local
        row = self._state.rows.find(f"serviceAccounts/{call.principal}")
        if row is not None and row.get("disabled"):
            raise unauthenticated(
                call.method.service,
                "ACCOUNT_STATE_INVALID",
                "Request had invalid authentication credentials.",
            )
        return call.principal

    def _operation_permission(self, call: Call) -> str | None:
        """What an operation asks for by who made it: on one port Vertex AI's address is that of other services' too."""
        row = self._state.rows.find(call.parent("name")) if "name" in call.path else None
        kind = str((row or {}).get("metadata", {}).get("@type", "")).rpartition("/")[2]
        return operation_permission(kind, call.method.id.rpartition(".")[2])

    def _bindings(self, policy: str) -> list[Json]:
        """The bindings of a policy with those that Google has without writing them down."""
        state = self._state
        if policy.startswith("buckets/") and policy.count("/") == 1:
            return _bucket_bindings(state, policy)
        if is_dataset(policy):
            return dataset_bindings(state, policy)
        bindings: list[Json] = state.policies.get(policy)["bindings"]
        root, _, identifier = policy.partition("/")
        if "/" in identifier or root == "serviceAccounts":
            return bindings
        if not any(binding["role"] == "roles/owner" for binding in bindings):
            # Nobody may lock themselves out of their own machine.
            bindings = [*bindings, {"role": "roles/owner", "members": [f"serviceAccount:{self.local}"]}]
        return [*bindings, *_agents(identifier)] if root == "projects" else bindings

    def _permits(self, role: str, permission: str) -> bool:
        if role.startswith("roles/"):
            return roles.permits(role, permission)
        custom = self._state.rows.find(self._state.projects.canonical(role))
        return (
            custom is not None
            and not custom.get("deleted")
            and permission in custom.get("includedPermissions", [])
        )


def project_of(email: str) -> str | None:
    """The project (id or number) of a service account by its e-mail address; None where it is none."""
    for pattern in (_SERVICE_AGENT, _COMPUTE, _ACCOUNT):
        if found := pattern.fullmatch(email):
            return found.group(1)
    return None


def default_bucket_bindings(project: str, *, uniform: bool) -> list[Json]:
    """A new bucket's policy: the project's convenience roles (cloud.google.com/storage/docs/access-control/iam)."""
    editors = [f"projectEditor:{project}", f"projectOwner:{project}"]
    viewers = [f"projectViewer:{project}"]
    bindings = [
        {"role": "roles/storage.legacyBucketOwner", "members": editors},
        {"role": "roles/storage.legacyBucketReader", "members": viewers},
    ]
    if uniform:
        bindings += [
            {"role": "roles/storage.legacyObjectOwner", "members": editors},
            {"role": "roles/storage.legacyObjectReader", "members": viewers},
        ]
    return bindings


def _bucket_bindings(state: State, policy: str) -> list[Json]:
    row = state.rows.find(policy)
    if row is None:
        return []
    project = state.projects.id(row["projectNumber"])
    uniform = row["iamConfiguration"]["uniformBucketLevelAccess"].get("enabled", False)
    default = default_bucket_bindings(project, uniform=uniform)
    bindings: list[Json] = state.policies.get(policy, {"bindings": default})["bindings"]
    # Without uniform access objects have lists of their own; by default (projectPrivate) they say the same.
    return bindings if uniform else [*bindings, *default_bucket_bindings(project, uniform=True)[2:]]


def _agents(number: str) -> Iterator[Json]:
    for domain, role in _AGENTS.items():
        yield {"role": role, "members": [f"serviceAccount:service-{number}@{domain}.iam.gserviceaccount.com"]}
    yield {
        "role": "roles/editor",
        "members": [f"serviceAccount:{number}-compute@developer.gserviceaccount.com"],
    }


def _sources(call: Call) -> Iterator[tuple[str, str, str]]:
    """What a copy or a composition reads, and a move writes: permission, bucket, object."""
    if call.method.id == "storage.objects.move":
        yield "storage.objects.create", call.path["bucket"], call.path["destinationObject"]
    if "sourceBucket" in call.path:
        yield "storage.objects.get", call.path["sourceBucket"], call.path["sourceObject"]
    if call.method.id == "storage.objects.compose":
        for source in call.body.get("sourceObjects", []):
            yield "storage.objects.get", call.path["destinationBucket"], source.get("name", "")
