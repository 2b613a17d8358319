"""The edges of the HTTP surface: known and unknown paths, versions, faults, outcomes, other Google APIs."""

from __future__ import annotations

import uuid

import httpx
import pytest
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from googleapiclient import discovery, errors

PARENT = "/v1/projects/p1/locations/us-central1"


def service(emulator, name, version):
    return discovery.build(
        name,
        version,
        credentials=AnonymousCredentials(),
        client_options=ClientOptions(api_endpoint=emulator.url),
        static_discovery=True,
    )


def test_a_method_that_google_has_and_the_emulator_lacks_answers_501_with_its_id(emulator):
    answer = emulator.http.post(f"{PARENT}/featurestores", json={})
    assert answer.status_code == 501
    assert answer.json()["error"]["status"] == "UNIMPLEMENTED"
    assert "aiplatform.projects.locations.featurestores.create" in answer.json()["error"]["message"]
    assert emulator.http.get("/v1/projects/p/locations/l/keyRings/r/importJobs").status_code == 501


def test_a_path_that_google_lacks_answers_404(emulator):
    for path in ("/v1/projects/p1/locations/l/nothings", "/v9/x", "/storage/v1/c"):
        assert emulator.http.get(path).status_code == 404


def test_versions_and_the_polling_path_are_views_of_the_same_rows(emulator):
    created = emulator.call("POST", f"{PARENT.replace('v1', 'v1beta1', 1)}/endpoints", {"displayName": "e"})
    name = created["name"].partition("/operations/")[0]
    views = [emulator.call("GET", f"/{view}/{name}") for view in ("v1", "v1beta1", "ui")]
    assert views[0] == views[1] == views[2]
    by_id = name.replace(name.split("/")[1], "p1")
    assert emulator.call("GET", f"/v1/{by_id}") == views[0]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"displayName": "x", "colour": "red"}, 'Unknown name "colour": Cannot find field.'),
        ({"displayName": 3}, "Invalid value at 'displayName' (TYPE_STRING), 3"),
        ({}, "Required field is not set: display_name"),
        ({"displayName": "x", "labels": {"Upper": "y"}}, 'Label key "Upper" is invalid'),
    ],
)
def test_a_body_that_is_not_as_the_schema_has_it_is_refused(emulator, body, words):
    answer = emulator.http.post(f"{PARENT}/endpoints", json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["status"] == "INVALID_ARGUMENT"
    assert words in answer.json()["error"]["message"]


def test_bodies_that_are_no_objects_are_refused(emulator):
    for content in (b"{", b"[]", b'"x"'):
        answer = emulator.http.post(f"{PARENT}/endpoints", content=content)
        assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert emulator.http.get(f"{PARENT}/endpoints?pageSize=many").status_code == 400
    assert emulator.http.get(f"{PARENT}/endpoints?colour=red").status_code == 400


def test_storage_errors_have_storages_shape(emulator):
    error = emulator.http.get("/storage/v1/b/nowhere-at-all").json()["error"]
    assert error == {
        "code": 404,
        "message": "The specified bucket does not exist.",
        "errors": [
            {"message": "The specified bucket does not exist.", "domain": "global", "reason": "notFound"}
        ],
    }


def test_a_fault_fires_as_often_as_asked_and_says_so(emulator):
    emulator.call(
        "POST",
        "/_local/faults",
        {
            "method": "aiplatform.projects.locations.tensorboards.list",
            "status": 429,
            "times": 2,
            "details": [{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": []}],
        },
    )
    answers = [emulator.http.get(f"{PARENT}/tensorboards") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].json()["error"]["status"] == "RESOURCE_EXHAUSTED"
    assert answers[0].json()["error"]["details"][0]["@type"].endswith("QuotaFailure")
    assert emulator.call("GET", "/_local/faults")["faults"][-1]["fired"] == 2
    emulator.call("DELETE", "/_local/faults")


def test_an_answer_can_be_lost_though_the_work_is_done(emulator):
    emulator.call(
        "POST",
        "/_local/faults",
        {"method": "aiplatform.projects.locations.endpoints.create", "truncateAfter": 0},
    )
    label = uuid.uuid4().hex
    with pytest.raises(httpx.RemoteProtocolError):
        emulator.http.post(f"{PARENT}/endpoints", json={"displayName": "lost", "labels": {"mark": label}})
    found = emulator.call("GET", f"{PARENT}/endpoints", filter=f"labels.mark={label}")
    assert [row["displayName"] for row in found["endpoints"]] == ["lost"]
    emulator.call("DELETE", "/_local/faults")


def test_a_scripted_outcome_ends_the_job_as_told(emulator):
    outcome = {
        "displayName": "unlucky*",
        "afterStep": 2,
        "status": "RESOURCE_EXHAUSTED",
        "message": "The operation was stocked out.",
    }
    emulator.call("POST", "/_local/outcomes", outcome)
    bucket = emulator.bucket()
    job = emulator.wait(emulator.submit(bucket, display_name="unlucky one", train_steps=200))
    assert job["error"] == {"code": 8, "message": "The operation was stocked out."}
    assert emulator.task(job, "tune")["step"] < 200
    assert emulator.call("GET", "/_local/outcomes")["outcomes"][0]["used"] == 1
    assert emulator.wait(emulator.submit(bucket, display_name="unlucky two", train_steps=2))[
        "state"
    ].endswith("SUCCEEDED")
    emulator.call("DELETE", "/_local/outcomes")


def test_service_accounts_are_made_changed_switched_off_and_removed(emulator):
    accounts = service(emulator, "iam", "v1").projects().serviceAccounts()
    body = {
        "accountId": "pipeline-runner",
        "serviceAccount": {"displayName": "Runner", "description": "runs"},
    }
    created = accounts.create(name="projects/p7", body=body).execute()
    assert created["email"] == "pipeline-runner@p7.iam.gserviceaccount.com"
    assert created["uniqueId"].isdigit()
    with pytest.raises(errors.HttpError, match="already exists"):
        accounts.create(name="projects/p7", body=body).execute()
    change = {
        "serviceAccount": {"displayName": "Renamed", "description": "dropped"},
        "updateMask": "displayName",
    }
    accounts.patch(name=created["name"], body=change).execute()
    accounts.disable(name=created["name"], body={}).execute()
    read = accounts.get(name=f"projects/-/serviceAccounts/{created['email']}").execute()
    assert (read["displayName"], read["description"], read["disabled"]) == ("Renamed", "runs", True)
    assert [row["email"] for row in accounts.list(name="projects/p7").execute()["accounts"]] == [
        created["email"]
    ]
    policy = accounts.getIamPolicy(resource=created["name"]).execute()
    policy["bindings"] = [{"role": "roles/iam.serviceAccountUser", "members": ["user:a@b.c"]}]
    assert accounts.setIamPolicy(resource=created["name"], body={"policy": policy}).execute()["bindings"]
    with pytest.raises(errors.HttpError, match="concurrent policy changes"):
        accounts.setIamPolicy(resource=created["name"], body={"policy": policy}).execute()
    accounts.delete(name=created["name"]).execute()
    with pytest.raises(errors.HttpError, match="Unknown service account"):
        accounts.get(name=created["name"]).execute()
    with pytest.raises(errors.HttpError, match="6-30 characters"):
        accounts.create(name="projects/p7", body={"accountId": "x"}).execute()


def test_project_policies_and_services(emulator):
    projects = service(emulator, "cloudresourcemanager", "v1").projects()
    project = projects.get(projectId="p8").execute()
    assert project["lifecycleState"] == "ACTIVE"
    assert projects.get(projectId=project["projectNumber"]).execute()["projectId"] == "p8"
    policy = projects.getIamPolicy(resource="p8", body={}).execute()
    policy["bindings"] = [{"role": "roles/aiplatform.user", "members": ["serviceAccount:a@b.c"]}]
    projects.setIamPolicy(resource="p8", body={"policy": policy}).execute()
    with pytest.raises(errors.HttpError, match="409"):
        projects.setIamPolicy(resource="p8", body={"policy": policy}).execute()
    third = service(emulator, "cloudresourcemanager", "v3").projects()
    assert third.getIamPolicy(resource="projects/p8", body={}).execute()["bindings"] == policy["bindings"]
    services = service(emulator, "serviceusage", "v1").services()
    name = "projects/p8/services/aiplatform.googleapis.com"
    assert services.get(name=name).execute()["state"] == "DISABLED"
    assert services.enable(name=name, body={}).execute()["done"]
    enabled = services.list(parent="projects/p8", filter="state:ENABLED").execute()["services"]
    assert [row["config"]["name"] for row in enabled] == ["aiplatform.googleapis.com"]


def test_every_request_is_in_the_log_with_its_method(emulator):
    emulator.http.get("/storage/v1/b/nowhere-at-all?fields=name")
    entry = emulator.requests("storage.buckets.get")[-1]
    assert (entry["status"], entry["query"], entry["verb"]) == (404, {"fields": "name"}, "GET")
    since = emulator.call("GET", "/_local/requests", since=entry["sequence"])["requests"]
    assert all(other["sequence"] > entry["sequence"] for other in since)


def test_coverage_names_what_is_implemented(emulator):
    services = emulator.call("GET", "/_local/coverage")["services"]
    assert "aiplatform.projects.locations.endpoints.predict" in services["aiplatform"]["implemented"]
    assert services["aiplatform"]["known"] > 1000


def test_a_mask_names_fields_that_there_are_and_that_a_caller_may_write(emulator):
    parent = "/v1/projects/masks/locations/us-central1/endpoints"
    made = emulator.call("POST", parent, {"displayName": "e", "labels": {"a": "1"}})["response"]["name"]
    before = emulator.call("GET", f"/v1/{made}")
    body = {"displayName": "f", "labels": {"a_b": "2"}, "createTime": "2020-01-01T00:00:00Z"}

    def patched(mask):
        return emulator.http.patch(f"/v1/{made}", params={"updateMask": mask}, json=body)

    for mask, words in (("nosuch", "Invalid field path"), ("displayName,encryption_spec.nosuch", "nosuch")):
        assert (patched(mask).status_code, words in patched(mask).text) == (400, True)
    assert "Only the server writes createTime" in patched("createTime").text
    changed = patched("display_name,createTime").json()
    assert (changed["displayName"], changed["labels"]) == ("f", {"a": "1"})
    assert changed["createTime"] == before["createTime"]
    assert patched("labels.a_b").json()["labels"] == {"a": "1", "a_b": "2"}


def test_a_page_of_less_than_nothing_is_refused(emulator):
    answer = emulator.http.get("/v1/projects/p1/locations/us-central1/endpoints", params={"pageSize": "-1"})
    assert (answer.status_code, "pageSize: it is negative" in answer.text) == (400, True)
    answer = emulator.http.get(f"/storage/v1/b/{emulator.bucket().name}/o", params={"maxResults": "-1"})
    assert (answer.status_code, "negative" in answer.text) == (400, True)
