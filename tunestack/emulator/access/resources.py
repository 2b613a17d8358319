"""Which resource a call is about: the policies that count for it, and how it is named."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunestack.emulator.call import Call
    from tunestack.emulator.state import State

Json = dict[str, Any]

_ROOTS = ("projects", "billingAccounts", "folders", "organizations")
# Services whose names carry the project's number, in conditions too (cloud.google.com/secret-manager/docs/
# access-control#conditions), and what a type is called where the collection does not say it.
_BY_NUMBER = ("secretmanager.googleapis.com",)
_NOUNS = {("secretmanager.googleapis.com", "versions"): "SecretVersion"}
_FULL_NAME = re.compile(rf"({'|'.join(_ROOTS)})/[^/]+(/.*)?")


@dataclass(frozen=True)
class Resource:
    """``policies`` are the names under which policies are kept that count for it: its own first, its project's last.

    ``name`` is as Google shows it and as conditions see it, ``type`` and ``service`` as conditions see them.
    """

    policies: tuple[str, ...]
    name: str
    type: str
    service: str


def bucket_resource(
    state: State, bucket: str, name: str | None = None, *, kind: str = "objects", prefix: str = ""
) -> Resource | None:
    """A bucket, or an object or managed folder in it; None where there is no such bucket.

    The policies of the managed folders that it lies in count for it, and those of ``prefix`` for a bucket whose
    objects are listed.
    """
    row = state.rows.find(f"buckets/{bucket}")
    if row is None:
        return None
    folders = [
        f"buckets/{bucket}/managedFolders/{folder['name']}"
        for folder in state.rows.list("managedFolders", bucket)
        if (name or prefix).startswith(folder["name"])
    ]
    policies = (*folders, f"buckets/{bucket}", f"projects/{row['projectNumber']}")
    shown = f"projects/_/buckets/{bucket}"
    service = "storage.googleapis.com"
    if name is None:
        return Resource(policies, shown, f"{service}/Bucket", service)
    noun = "Object" if kind == "objects" else "ManagedFolder"
    return Resource(policies, f"{shown}/{kind}/{name}", f"{service}/{noun}", service)


def account_resource(state: State, email: str, project: str) -> Resource:
    """A service account of a project (by id or number), whether or not it is there."""
    number, identifier = state.projects.number(project), state.projects.id(project)
    name = f"projects/{identifier}/serviceAccounts/{email}"
    service = "iam.googleapis.com"
    return Resource(
        (f"serviceAccounts/{email}", f"projects/{number}"), name, f"{service}/ServiceAccount", service
    )


def named_resource(state: State, name: str, service: str) -> Resource:
    """A resource by its full name; every ancestor's policy counts for it, the version of a model is the model's."""
    parts = state.projects.canonical(name).split("/")
    policies = [
        "/".join(parts[:length]).partition("@")[0] for length in range(len(parts) - len(parts) % 2, 0, -2)
    ]
    kind = parts[-2 + len(parts) % 2] if len(parts) > 1 else ""
    noun = _NOUNS.get((service, kind)) or kind[:1].upper() + kind[1:].removesuffix("s")
    name = "/".join(parts) if service in _BY_NUMBER else name
    return Resource(tuple(policies), name, f"{service}/{noun}", service)


def resource_of(call: Call) -> Resource | None:
    """What the path of a call names; None where that is not there, which the method itself says better."""
    state, path = call.state, call.path
    service = f"{call.method.service}.googleapis.com"
    if call.method.service == "storage":
        bucket = path.get("bucket") or path.get("destinationBucket")
        if "managedFolder" in path:
            return bucket_resource(state, str(bucket), path["managedFolder"], kind="managedFolders")
        if call.method.id == "storage.objects.insert" and state.rows.list("managedFolders", str(bucket)):
            return None  # a folder's policy may count: asked once the object's name is known
        if call.method.id == "storage.objects.list":
            return bucket_resource(state, str(bucket), prefix=call.query.get("prefix", ""))
        if bucket:
            return bucket_resource(state, bucket, path.get("object") or path.get("destinationObject"))
        return named_resource(state, f"projects/{_asked_project(call)}", service)
    names = [value for value in path.values() if _FULL_NAME.fullmatch(value)]
    if names:
        name = max(names, key=len)
        if "/serviceAccounts/" in name:
            project, _, email = name.removeprefix("projects/").partition("/serviceAccounts/")
            return _account(state, email.partition("/")[0].partition(":")[0], project)
        return named_resource(state, name, service)
    return named_resource(state, _flat_name(call), service)


def _account(state: State, identifier: str, project: str) -> Resource | None:
    from tunestack.emulator.services.iam import find_account

    row = find_account(state, f"projects/{project}/serviceAccounts/{identifier}")
    if row is None and project == "-":
        return None
    return account_resource(state, row["email"] if row else identifier, row["projectId"] if row else project)


def _flat_name(call: Call) -> str:
    """The name of what older APIs put into several path parameters, or into the body (BigQuery, Logging)."""
    path = call.path
    if names := _named_in(call.body):
        return names
    name = f"projects/{_asked_project(call)}"
    for parameter, collection in (("datasetId", "datasets"), ("tableId", "tables"), ("jobId", "jobs")):
        if parameter in path:
            name += f"/{collection}/{path[parameter]}"
    return name


def _named_in(body: Json) -> str | None:
    """The project, folder … that a body names: Logging's entries are written and read so."""
    entries = [entry for entry in body.get("entries") or [] if isinstance(entry, dict)]
    texts = [
        body.get("logName"),
        *(body.get("resourceNames") or []),
        *(entry.get("logName") for entry in entries),
    ]
    for text in texts:
        if isinstance(text, str) and text.split("/")[0] in _ROOTS:
            return "/".join(text.split("/")[:2])
    return None


def _asked_project(call: Call) -> str:
    for key in ("projectId", "project", "resource"):
        value = call.path.get(key) or call.query.get(key)
        if value and str(value) not in ("_", "<none>", "-"):
            return str(value).removeprefix("projects/")
    return call.state.options.project
