"""Accounts, policy members, services, Tensorboards and endpoints, against a real emulator process."""

from __future__ import annotations

import asyncio
import json

import grpc
import pytest

BUCKET = "gcp:storage/bucket:Bucket"
ACCOUNT = "gcp:serviceaccount/account:Account"
BUCKET_MEMBER = "gcp:storage/bucketIAMMember:BucketIAMMember"
PROJECT_MEMBER = "gcp:projects/iAMMember:IAMMember"
ACCOUNT_MEMBER = "gcp:serviceaccount/iAMMember:IAMMember"
SERVICE = "gcp:projects/service:Service"
TENSORBOARD = "gcp:vertex/aiTensorboard:AiTensorboard"
ENDPOINT = "gcp:vertex/aiEndpoint:AiEndpoint"

VIEWER = "roles/storage.objectViewer"


async def test_a_preview_knows_the_accounts_address_so_that_grants_can_be_previewed(engine, project):
    inputs = {"accountId": "tuning-us-central1", "displayName": "Runs tuning", "project": project}
    planned = await engine.preview(ACCOUNT, "runner", **inputs)
    email = f"tuning-us-central1@{project}.iam.gserviceaccount.com"
    assert (planned["email"], planned["member"]) == (email, f"serviceAccount:{email}")
    assert "uniqueId" not in planned
    assert await engine.up(ACCOUNT, "runner", **inputs) == "create"
    assert engine.state["runner"].id == f"projects/{project}/serviceAccounts/{email}"
    assert engine.state["runner"]["uniqueId"].isdigit()
    for key in ("email", "member", "name"):
        assert engine.state["runner"][key] == planned[key]
    assert await engine.up(ACCOUNT, "runner", **inputs) == "same"
    assert await engine.refresh("runner") == {}


async def test_an_accounts_texts_and_state_change_in_place_and_its_id_replaces_it(engine, google):
    await engine.up(ACCOUNT, "runner", accountId="runner-one", displayName="one", description="d")
    changed = {"accountId": "runner-one", "displayName": "two", "disabled": True}
    checked = await engine.check(ACCOUNT, "runner", changed)
    assert await engine.diff("runner", checked) == {
        "displayName": "update",
        "description": "delete",
        "disabled": "update",
    }
    assert await engine.up(ACCOUNT, "runner", **changed) == "update"
    stored = (await google.get(f"/v1/{engine.state['runner'].id}")).json()
    assert (stored["displayName"], stored.get("description", ""), stored["disabled"]) == ("two", "", True)
    assert await engine.refresh("runner") == {}
    await google.post(f"/v1/{engine.state['runner'].id}:enable", json={})
    assert await engine.refresh("runner") == {"disabled": "update"}
    assert await engine.up(ACCOUNT, "runner", **{**changed, "accountId": "runner-two"}) == "replace"


async def test_an_account_that_exists_is_an_error_unless_the_program_says_otherwise(engine, google, project):
    await google.post(f"/v1/projects/{project}/serviceAccounts", json={"accountId": "there-already"})
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await engine.up(ACCOUNT, "runner", accountId="there-already")
    assert refused.value.code() == grpc.StatusCode.ALREADY_EXISTS
    identity = f"projects/{project}/serviceAccounts/there-already@{project}.iam.gserviceaccount.com"
    assert f"pulumi import {ACCOUNT} runner {identity}" in refused.value.details()
    inputs = {"accountId": "there-already", "displayName": "taken over", "createIgnoreAlreadyExists": True}
    assert await engine.up(ACCOUNT, "runner", **inputs) == "create"
    assert engine.state["runner"].id == identity
    assert (await google.get(f"/v1/{identity}")).json()["displayName"] == "taken over"


async def test_an_imported_account_matches_the_program_that_describes_it(engine, google, project):
    body = {"accountId": "imported", "serviceAccount": {"displayName": "d"}}
    made = (await google.post(f"/v1/projects/{project}/serviceAccounts", json=body)).json()
    await engine.import_(ACCOUNT, "runner", made["name"])
    assert await engine.up(ACCOUNT, "runner", accountId="imported", displayName="d") == "same"


@pytest.fixture
async def bucket(engine) -> str:
    await engine.up(BUCKET, "bucket", location="EU")
    return engine.state["bucket"].id


async def test_a_member_joins_the_policy_stays_and_leaves(engine, google, bucket):
    inputs = {"bucket": bucket, "role": VIEWER, "member": "user:ada@example.org"}
    assert await engine.up(BUCKET_MEMBER, "ada", **inputs) == "create"
    assert engine.state["ada"].id == f"b/{bucket}/{VIEWER}/user:ada@example.org"
    policy = (await google.get(f"/storage/v1/b/{bucket}/iam")).json()
    assert {"role": VIEWER, "members": ["user:ada@example.org"]} in policy["bindings"]
    assert await engine.up(BUCKET_MEMBER, "ada", **inputs) == "same"
    assert await engine.refresh("ada") == {}
    await engine.delete("ada")
    policy = (await google.get(f"/storage/v1/b/{bucket}/iam")).json()
    assert all("user:ada@example.org" not in binding["members"] for binding in policy.get("bindings", []))


async def test_a_role_removed_behind_its_back_is_found_and_given_again(engine, google, bucket):
    inputs = {"bucket": bucket, "role": VIEWER, "member": "user:ada@example.org"}
    await engine.up(BUCKET_MEMBER, "ada", **inputs)
    policy = (await google.get(f"/storage/v1/b/{bucket}/iam")).json()
    policy["bindings"] = [binding for binding in policy["bindings"] if binding["role"] != VIEWER]
    assert (await google.put(f"/storage/v1/b/{bucket}/iam", json=policy)).is_success
    assert await engine.refresh("ada") is None
    assert await engine.up(BUCKET_MEMBER, "ada", **inputs) == "create"
    assert await engine.refresh("ada") == {}


async def test_members_that_come_at_once_all_get_in(engine, another_engine, bucket):
    """Two plugin processes share one policy; its etag, not luck, keeps every change."""
    drivers = {f"m{index}": driver for index, driver in enumerate([engine, another_engine] * 6)}
    await asyncio.gather(
        *(
            driver.up(BUCKET_MEMBER, name, bucket=bucket, role=VIEWER, member=f"user:{name}@x.org")
            for name, driver in drivers.items()
        )
    )
    for name, driver in drivers.items():
        assert await driver.refresh(name) == {}
    await asyncio.gather(*(driver.delete(name) for name, driver in drivers.items()))


async def test_the_same_role_under_a_condition_is_another_grant(engine, google, bucket):
    plain = {"bucket": bucket, "role": VIEWER, "member": "user:ada@example.org"}
    condition = {"title": "until-2030", "expression": 'request.time < timestamp("2030-01-01T00:00:00Z")'}
    await engine.up(BUCKET_MEMBER, "always", **plain)
    await engine.up(BUCKET_MEMBER, "limited", **plain, condition=condition)
    assert await engine.refresh("limited") == {}
    await engine.delete("always")
    assert await engine.refresh("limited") == {}
    address = f"/storage/v1/b/{bucket}/iam?optionsRequestedPolicyVersion=3"
    policy = (await google.get(address)).json()
    assert policy["version"] == 3
    await engine.delete("limited")


@pytest.mark.parametrize("type_", [PROJECT_MEMBER, ACCOUNT_MEMBER])
async def test_projects_and_accounts_have_members_too(engine, google, project, type_):
    await engine.up(ACCOUNT, "runner", accountId="runner-one")
    where = (
        {"project": project} if type_ == PROJECT_MEMBER else {"serviceAccountId": engine.state["runner"].id}
    )
    inputs = {**where, "role": "roles/aiplatform.user", "member": engine.state["runner"]["member"]}
    assert await engine.up(type_, "grant", **inputs) == "create"
    assert await engine.up(type_, "grant", **inputs) == "same"
    assert await engine.refresh("grant") == {}
    checked = await engine.check(type_, "grant", {**inputs, "role": "roles/viewer"})
    assert await engine.diff("grant", checked) == {"role": "update-replace"}
    identity = engine.state["grant"].id
    spaced = identity.replace("/roles/aiplatform.user/", " roles/aiplatform.user ")
    imported = await engine.import_(type_, "imported", spaced)
    assert imported is not None
    assert imported.id == identity
    assert await engine.up(type_, "imported", **inputs) == "same"
    await engine.delete("grant")
    assert await engine.refresh("imported") is None


async def test_a_service_is_switched_on_and_off_only_when_asked(engine, google, project):
    address = f"/v1/projects/{project}/services/aiplatform.googleapis.com"
    inputs = {"service": "aiplatform.googleapis.com"}
    assert await engine.up(SERVICE, "vertex", **inputs) == "create"
    assert (await google.get(address)).json()["state"] == "ENABLED"
    assert await engine.up(SERVICE, "vertex", **inputs) == "same"
    assert await engine.refresh("vertex") == {}
    await engine.delete("vertex")
    assert (await google.get(address)).json()["state"] == "ENABLED"
    await engine.up(SERVICE, "vertex", **inputs, disableOnDestroy=True)
    await google.post(f"{address}:disable", json={})
    assert await engine.refresh("vertex") is None
    await engine.up(SERVICE, "vertex", **inputs, disableOnDestroy=True)
    await engine.delete("vertex")
    assert (await google.get(address)).json()["state"] == "DISABLED"


async def test_a_tensorboard_is_made_by_an_operation_and_named_by_the_server(engine, google):
    inputs = {
        "displayName": "tuning",
        "description": "Curves",
        "region": "europe-west4",
        "labels": {"team": "ml"},
    }
    planned = await engine.preview(TENSORBOARD, "board", **inputs)
    assert "name" not in planned
    assert await engine.up(TENSORBOARD, "board", **inputs) == "create"
    board = engine.state["board"]
    assert board.id == board["name"]
    assert "/locations/europe-west4/tensorboards/" in board.id
    assert {"pulumiLabels", "effectiveLabels"} <= board.secrets
    assert await engine.up(TENSORBOARD, "board", **inputs) == "same"
    assert await engine.refresh("board") == {}
    changed = {"displayName": "renamed", "region": "europe-west4", "labels": {"team": "nlp"}}
    assert await engine.up(TENSORBOARD, "board", **changed) == "update"
    stored = (await google.get(f"/v1/{board.id}")).json()
    assert (stored["displayName"], stored.get("description", "")) == ("renamed", "")
    assert stored["labels"] == {"team": "nlp", "goog-pulumi-provisioned": "true"}
    assert await engine.up(TENSORBOARD, "board", **changed) == "same"
    assert await engine.refresh("board") == {}
    assert await engine.up(TENSORBOARD, "board", **{**changed, "region": "us-central1"}) == "replace"
    assert (await google.get(f"/v1/{board.id}")).status_code == 404
    imported = await engine.import_(TENSORBOARD, "imported", engine.state["board"].id)
    assert imported is not None
    assert await engine.up(TENSORBOARD, "imported", **{**changed, "region": "us-central1"}) == "same"


async def test_an_endpoint_is_named_by_the_program_and_what_is_edited_is_found(engine, google):
    inputs = {"name": "4711", "location": "us-central1", "displayName": "served", "labels": {"a": "b"}}
    with pytest.raises(Exception, match="name: must be a number of 1 to 10 digits"):
        await engine.up(ENDPOINT, "endpoint", **{**inputs, "name": "my-endpoint"})
    assert await engine.up(ENDPOINT, "endpoint", **inputs) == "create"
    assert engine.state["endpoint"].id.endswith("/locations/us-central1/endpoints/4711")
    assert await engine.up(ENDPOINT, "endpoint", **inputs) == "same"
    assert await engine.refresh("endpoint") == {}
    address = f"/v1/{engine.state['endpoint'].id}"
    await google.patch(address, params={"updateMask": "displayName"}, json={"displayName": "edited"})
    assert await engine.refresh("endpoint") == {"displayName": "update"}
    assert await engine.up(ENDPOINT, "endpoint", **inputs) == "update"
    assert await engine.refresh("endpoint") == {}
    await engine.delete("endpoint")
    assert (await google.get(address)).status_code == 404


async def test_traffic_that_someone_else_moves_is_found_and_given_back(engine, google, project):
    inputs = {"name": "4714", "location": "europe-west4", "displayName": "served"}
    await engine.up(ENDPOINT, "endpoint", **inputs)
    place, endpoint = f"/v1/projects/{project}/locations/europe-west4", engine.state["endpoint"].id
    for number, name in enumerate(("one", "two")):
        model = {"displayName": name, "containerSpec": {"imageUri": "gcr.io/p/serving"}}
        uploaded = await google.post(f"{place}/models:upload", json={"model": model})
        deployed = {
            "id": str(number + 1),
            "model": uploaded.json()["response"]["model"],
            "dedicatedResources": {"machineSpec": {"machineType": "n1-standard-4"}, "minReplicaCount": 1},
        }
        answer = await google.post(f"/v1/{endpoint}:deployModel", json={"deployedModel": deployed})
        assert answer.is_success, answer.text
    inputs["trafficSplit"] = json.dumps({"1": 80, "2": 20})
    assert await engine.up(ENDPOINT, "endpoint", **inputs) == "update"
    assert await engine.up(ENDPOINT, "endpoint", **inputs) == "same"
    assert await engine.refresh("endpoint") == {}
    moved = {"trafficSplit": {"1": 0, "2": 100}}
    await google.patch(f"/v1/{endpoint}", params={"updateMask": "trafficSplit"}, json=moved)
    assert await engine.refresh("endpoint") == {"trafficSplit": "update"}
    assert json.loads(engine.state["endpoint"]["trafficSplit"])["2"] == 100
    assert await engine.up(ENDPOINT, "endpoint", **inputs) == "update"
    assert (await google.get(f"/v1/{endpoint}")).json()["trafficSplit"] == {"1": 80, "2": 20}


async def test_every_request_carries_the_providers_token_and_stays_on_loopback(engine, google):
    before = (await google.get("/_local/requests", params={"since": 0})).json()
    await engine.up(TENSORBOARD, "board", displayName="tuning")
    log = json.dumps((await google.get("/_local/requests", params={"since": 0})).json())
    assert len(log) > len(json.dumps(before))
    assert "aiplatform.projects.locations.tensorboards.create" in log
