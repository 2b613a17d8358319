"""A project's own roles, accounts' keys and services' agents, driven by google-api-python-client and google-auth."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import replace

import google.auth.transport.requests
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from google.auth.credentials import AnonymousCredentials
from google.oauth2 import service_account
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

from tunestack.emulator import process
from tunestack.emulator.environment import token_of


@pytest.fixture
def project():
    return f"keys-{secrets.token_hex(4)}"


@pytest.fixture
def iam(emulator):
    options = {"api_endpoint": emulator.url}
    with build("iam", "v1", credentials=AnonymousCredentials(), client_options=options) as client:
        yield client.projects()


def test_a_role_is_made_changed_deleted_and_restored(iam, project):
    roles, parent = iam.roles(), f"projects/{project}"
    role = {"title": "Tuner", "includedPermissions": ["aiplatform.tuningJobs.create"], "stage": "GA"}
    made = roles.create(parent=parent, body={"roleId": "tuner", "role": role}).execute()
    assert made == {**role, "name": f"{parent}/roles/tuner", "etag": made["etag"]}
    with pytest.raises(HttpError, match="already exists"):
        roles.create(parent=parent, body={"roleId": "tuner", "role": role}).execute()
    with pytest.raises(HttpError, match="role_id"):
        roles.create(parent=parent, body={"roleId": "my-role", "role": role}).execute()
    changed = roles.patch(name=made["name"], body={"title": "Tunes"}, updateMask="title").execute()
    assert changed["includedPermissions"] == role["includedPermissions"]
    roles.delete(name=made["name"]).execute()
    assert roles.get(name=made["name"]).execute()["deleted"] is True
    assert roles.list(parent=parent).execute() == {"roles": []}
    assert [each["title"] for each in roles.list(parent=parent, showDeleted=True).execute()["roles"]] == [
        "Tunes"
    ]
    assert "deleted" not in roles.undelete(name=made["name"], body={}).execute()


def test_a_role_permits_what_it_names_and_nothing_once_it_is_deleted(emulator, tmp_path):
    local = type(emulator)(replace(emulator.options, data=tmp_path / "data", port=0, enforce_iam=True))
    try:
        project, ada = local.options.project, "ada@example.org"
        role = {"title": "Reads buckets", "includedPermissions": ["storage.buckets.get"]}
        body = {"roleId": "reads", "role": role}
        made = local.call("POST", f"/v1/projects/{project}/roles", body)
        local.call("POST", "/storage/v1/b", {"name": "held"}, project=project)
        policy = local.call("POST", f"/v1/projects/{project}:getIamPolicy", {})
        policy["bindings"].append({"role": made["name"], "members": [f"user:{ada}"]})
        local.call("POST", f"/v1/projects/{project}:setIamPolicy", {"policy": policy})
        bearer = {"authorization": f"Bearer {token_of(ada)}"}
        assert local.http.get("/storage/v1/b/held", headers=bearer).status_code == 200
        assert local.http.get("/storage/v1/b/held/o", headers=bearer).status_code == 403
        local.call("DELETE", f"/v1/{made['name']}")
        assert local.http.get("/storage/v1/b/held", headers=bearer).status_code == 403
    finally:
        process.stop(tmp_path / "data")


def test_a_keys_private_half_is_told_once_and_signs_in(iam, project):
    accounts = iam.serviceAccounts()
    account = accounts.create(name=f"projects/{project}", body={"accountId": "runner-one"}).execute()
    made = accounts.keys().create(name=account["name"], body={}).execute()
    info = json.loads(base64.b64decode(made["privateKeyData"]))
    credentials = service_account.Credentials.from_service_account_info(
        info, scopes=["https://www.googleapis.com/auth/cloud-platform"]
    )
    credentials.refresh(google.auth.transport.requests.Request())
    assert credentials.token
    read = accounts.keys().get(name=made["name"], publicKeyType="TYPE_X509_PEM_FILE").execute()
    assert "privateKeyData" not in read
    certificate = x509.load_pem_x509_certificate(base64.b64decode(read["publicKeyData"]))
    private = serialization.load_pem_private_key(info["private_key"].encode(), None)
    assert certificate.public_key().public_numbers() == private.public_key().public_numbers()
    accounts.keys().disable(name=made["name"], body={}).execute()
    assert accounts.keys().list(name=account["name"]).execute()["keys"][0]["disabled"] is True
    accounts.keys().delete(name=made["name"]).execute()
    with pytest.raises(HttpError, match="does not exist"):
        accounts.keys().get(name=made["name"]).execute()


def test_a_services_agent_is_named_after_the_projects_number(emulator, project):
    number = emulator.call("GET", f"/v1/projects/{project}")["projectNumber"]
    path = f"/v1beta1/projects/{project}/services/aiplatform.googleapis.com:generateServiceIdentity"
    made = emulator.call("POST", path, {})
    assert made["done"] is True
    assert made["response"]["email"] == f"service-{number}@gcp-sa-aiplatform.iam.gserviceaccount.com"


def test_a_mask_that_belongs_in_the_body_may_come_in_the_query(emulator, project):
    """As terraform-provider-google sends the updates of Pub/Sub."""
    emulator.call("PUT", f"/v1/projects/{project}/topics/events", {"labels": {"a": "b"}})
    change = {"topic": {"labels": {"a": "c"}}}
    changed = emulator.call("PATCH", f"/v1/projects/{project}/topics/events", change, updateMask="labels")
    assert changed["labels"] == {"a": "c"}
