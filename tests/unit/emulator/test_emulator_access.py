"""IAM's pure core: permissions by method, roles, conditions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunestack.emulator.access import conditions, policy, roles
from tunestack.emulator.access.permissions import permission_of
from tunestack.emulator.call import HANDLERS
from tunestack.emulator.services import register_services

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def asked(name="projects/_/buckets/b/objects/a/x", time=NOW):
    return conditions.Request(time, name, "storage.googleapis.com/Object", "storage.googleapis.com")


@pytest.mark.parametrize(
    ("method", "permission"),
    [
        ("aiplatform.projects.locations.tuningJobs.create", "aiplatform.tuningJobs.create"),
        ("aiplatform.projects.locations.endpoints.patch", "aiplatform.endpoints.update"),
        ("aiplatform.projects.locations.endpoints.rawPredict", "aiplatform.endpoints.predict"),
        ("aiplatform.projects.locations.publishers.models.predict", "aiplatform.endpoints.predict"),
        ("aiplatform.projects.locations.endpoints.operations.get", "aiplatform.endpoints.get"),
        ("aiplatform.projects.locations.evaluateInstances", "aiplatform.locations.evaluateInstances"),
        (
            "aiplatform.projects.locations.tensorboards.experiments.runs.create",
            "aiplatform.tensorboardRuns.create",
        ),
        ("storage.buckets.insert", "storage.buckets.create"),
        ("storage.objects.get", "storage.objects.get"),
        ("iam.projects.serviceAccounts.create", "iam.serviceAccounts.create"),
        ("cloudresourcemanager.projects.setIamPolicy", "resourcemanager.projects.setIamPolicy"),
        (
            "cloudkms.projects.locations.keyRings.cryptoKeys.encrypt",
            "cloudkms.cryptoKeyVersions.useToEncrypt",
        ),
        ("cloudkms.projects.locations.keyRings.create", "cloudkms.keyRings.create"),
        ("pubsub.projects.subscriptions.pull", "pubsub.subscriptions.consume"),
        ("pubsub.projects.topics.create", "pubsub.topics.create"),
        ("logging.entries.write", "logging.logEntries.create"),
        ("billingbudgets.billingAccounts.budgets.create", "billing.budgets.create"),
        ("bigquery.datasets.insert", "bigquery.datasets.create"),
        ("monitoring.projects.alertPolicies.create", "monitoring.alertPolicies.create"),
        ("cloudresourcemanager.projects.testIamPermissions", None),
        ("secretmanager.projects.secrets.versions.access", "secretmanager.versions.access"),
        ("secretmanager.projects.locations.secrets.addVersion", "secretmanager.versions.add"),
        # A service that nobody has written down.
        ("newservice.projects.locations.things.patch", "newservice.things.update"),
    ],
)
def test_a_method_asks_for_googles_permission(method, permission):
    assert permission_of(method) == permission


def test_every_method_that_is_implemented_has_a_permission_that_owners_hold_or_buckets_grant():
    register_services()
    wrong = {}
    for method in HANDLERS:
        permission = permission_of(method)
        free = method.endswith(".testIamPermissions")
        well_formed = free if permission is None else permission.count(".") == 2 and permission.isascii()
        held = permission is None or any(roles.permits(role, permission) for role in roles.ROLES)
        if not (well_formed and held):
            wrong[method] = permission
    assert not wrong


@pytest.mark.parametrize(
    ("role", "permission", "held"),
    [
        ("roles/owner", "aiplatform.tuningJobs.create", True),
        ("roles/owner", "storage.objects.get", False),  # by the bucket's own policy only
        ("roles/editor", "resourcemanager.projects.setIamPolicy", False),
        ("roles/editor", "iam.serviceAccounts.actAs", True),
        ("roles/viewer", "aiplatform.models.list", True),
        ("roles/viewer", "aiplatform.models.upload", False),
        ("roles/aiplatform.user", "aiplatform.pipelineJobs.create", True),
        ("roles/aiplatform.user", "iam.serviceAccounts.actAs", False),
        ("roles/aiplatform.viewer", "aiplatform.endpoints.predict", False),
        ("roles/storage.objectViewer", "storage.objects.get", True),
        ("roles/storage.objectViewer", "storage.objects.create", False),
        ("roles/storage.objectCreator", "storage.objects.delete", False),
        ("roles/iam.serviceAccountUser", "iam.serviceAccounts.getAccessToken", False),
        ("roles/cloudkms.admin", "cloudkms.cryptoKeyVersions.useToDecrypt", False),
        ("roles/editor", "secretmanager.versions.access", False),
        ("roles/secretmanager.secretVersionManager", "secretmanager.versions.access", False),
        ("roles/nobody.knows", "storage.objects.get", False),
    ],
)
def test_roles_permit_what_googles_do(role, permission, held):
    assert roles.permits(role, permission) is held


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ('request.time < timestamp("2026-12-01T00:00:00Z")', True),
        ('request.time < timestamp("2026-11-01T00:00:00Z")', False),
        ('resource.name.startsWith("projects/_/buckets/b/objects/a/")', True),
        ("resource.name.startsWith('projects/_/buckets/b/objects/c/')", False),
        ('resource.type == "storage.googleapis.com/Object" && !resource.name.endsWith("y")', True),
        ('(resource.service != "storage.googleapis.com") || false', False),
        ('resource.type != "x" || request.time >= timestamp("2030-01-01T00:00:00+01:00")', True),
    ],
)
def test_conditions_are_evaluated(expression, holds):
    assert conditions.parse(expression)(asked()) is holds


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "request.auth.claims.x == 1",
        'resource.name.matches("a.*")',
        'request.time < timestamp("2026")',
        'request.time < duration("1s")',
        'resource.matchTag("a", "b")',
        'resource.name == "a" &&',
        "true true",
    ],
)
def test_conditions_that_would_not_be_evaluated_are_refused(expression):
    with pytest.raises(conditions.Unevaluated):
        conditions.parse(expression)


_ATOMS = st.sampled_from(
    [("true", True), ("false", False), ('resource.name.endsWith("x")', True), ('resource.type == "y"', False)]
)
_CONDITIONS = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda p: (f"({p[0][0]} && {p[1][0]})", p[0][1] and p[1][1])),
        st.tuples(inner, inner).map(lambda p: (f"({p[0][0]}||{p[1][0]})", p[0][1] or p[1][1])),
        inner.map(lambda p: (f"!({p[0]})", not p[1])),
    ),
    max_leaves=12,
)


@given(_CONDITIONS)
def test_a_condition_means_what_its_parts_mean(condition):
    expression, meaning = condition
    assert conditions.parse(expression)(asked()) is meaning


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader_of_conditions(text):
    try:
        conditions.parse(text)
    except conditions.Unevaluated:
        return


_MEMBERS = st.lists(
    st.sampled_from(["user:a@b.c", "allUsers", "domain:b.c", "user:x@y.z", "group:g@b.c"]), max_size=3
)
_BINDINGS = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(sorted(roles.ROLES)), "members": _MEMBERS}), max_size=5
)


@given(_BINDINGS, _BINDINGS, st.sampled_from(["storage.objects.get", "aiplatform.models.upload"]))
def test_more_bindings_never_take_a_permission_away(some, more, permission):
    members = policy.identities("a@b.c")
    before = policy.grants(some, members, permission, asked(), roles.permits)
    after = policy.grants([*some, *more], members, permission, asked(), roles.permits)
    assert after or not before
    assert not policy.grants([*some, *more], set(), permission, asked(), roles.permits)


def test_a_grant_ends_when_its_condition_says():
    until = {"expression": 'request.time < timestamp("2026-11-24T00:00:00Z")'}
    binding = {"role": "roles/viewer", "members": ["user:a@b.c"], "condition": until}
    members = policy.identities("a@b.c")
    answers = [
        policy.grants(
            [binding],
            members,
            "aiplatform.models.list",
            asked(time=NOW + timedelta(hours=hours)),
            roles.permits,
        )
        for hours in (23, 24)
    ]
    assert answers == [True, False]


def test_who_a_principal_is():
    assert policy.identities("x@p.iam.gserviceaccount.com") >= {"serviceAccount:x@p.iam.gserviceaccount.com"}
    assert policy.identities("a@b.c") == {"user:a@b.c", "domain:b.c", "allUsers", "allAuthenticatedUsers"}
    assert policy.identities(policy.ANONYMOUS) == {"allUsers"}
