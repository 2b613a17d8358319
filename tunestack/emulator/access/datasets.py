"""The policy of a BigQuery dataset, which lies in the list of accesses of the dataset itself.

Names of members and roles: cloud.google.com/bigquery/docs/control-access-to-resources-iam.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tunestack.emulator.state import State

Json = dict[str, Any]

_DATASET = re.compile(r"projects/\d+/datasets/[^/]+")
_MEMBERS = {
    "iamMember": "",
    "groupByEmail": "group:",
    "domain": "domain:",
    "specialGroup": "special:",
}
_GROUPS = {
    "projectOwners": "projectOwner",
    "projectWriters": "projectEditor",
    "projectReaders": "projectViewer",
}
_ROLES = {
    "OWNER": "roles/bigquery.dataOwner",
    "WRITER": "roles/bigquery.dataEditor",
    "READER": "roles/bigquery.dataViewer",
}


def is_dataset(policy: str) -> bool:
    """Whether a policy's name is that of a BigQuery dataset."""
    return _DATASET.fullmatch(policy) is not None


def dataset_bindings(state: State, policy: str) -> list[Json]:
    """A BigQuery dataset's policy: it lies in the list of accesses of the dataset itself."""
    _, number, _, dataset = policy.split("/")
    row = state.rows.find(f"bigquery/{state.projects.id(number)}/{dataset}") or {}
    bindings = []
    for access in row.get("access", []):
        member = next((f"{kind}{access[key]}" for key, kind in _MEMBERS.items() if key in access), None)
        email = str(access.get("userByEmail", ""))
        if email:
            member = f"{'serviceAccount' if email.endswith('.gserviceaccount.com') else 'user'}:{email}"
        if member and "role" in access:
            group = member.removeprefix("special:")
            member = f"{_GROUPS[group]}:{state.projects.id(number)}" if group in _GROUPS else group
            bindings.append({"role": _ROLES.get(access["role"], access["role"]), "members": [member]})
    return bindings
