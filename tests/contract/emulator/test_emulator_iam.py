"""IAM enforced: who lacks a permission is refused in Google's words, and who has it is not."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace

import httpx
import pytest
from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import Forbidden
from google.auth import impersonated_credentials
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import RefreshError
from google.cloud import resourcemanager_v3, storage
from google.cloud.aiplatform_v1.services.gen_ai_tuning_service import GenAiTuningServiceClient
from google.oauth2.credentials import Credentials

from tunestack.emulator import process
from tunestack.emulator.environment import token_of

PROJECT = "tunestack-local"
PARENT = f"projects/{PROJECT}/locations/us-central1"


@pytest.fixture(scope="module")
def iam(emulator, tmp_path_factory):
    """An emulator that enforces IAM; its plain calls come without a token, hence from the local credentials."""
    data = tmp_path_factory.mktemp("iam") / "data"
    local = type(emulator)(replace(emulator.options, data=data, port=0, enforce_iam=True))
    yield local
    process.stop(data)


@pytest.fixture
def bucket(iam):
    return iam.storage(PROJECT).create_bucket(f"iam-{uuid.uuid4().hex[:10]}")


def someone():
    return f"someone-{uuid.uuid4().hex[:8]}@example.com"


def storage_of(iam, account):
    """Google's own client, whose calls come from ``account``."""
    return storage.Client(
        project=PROJECT, credentials=Credentials(token_of(account)), client_options={"api_endpoint": iam.url}
    )


def calls(iam, account):
    return httpx.Client(
        base_url=iam.url, headers={"authorization": f"Bearer {token_of(account)}"}, timeout=30
    )


def grant(iam, role, account, condition=None):
    """Add a role on the project."""
    name = f"/v3/projects/{PROJECT}"
    policy = iam.call("POST", f"{name}:getIamPolicy", {})
    kind = "serviceAccount" if account.endswith("gserviceaccount.com") else "user"
    binding = {"role": role, "members": [f"{kind}:{account}"]}
    policy["bindings"].append({**binding, "condition": condition} if condition else binding)
    policy["version"] = 3
    iam.call("POST", f"{name}:setIamPolicy", {"policy": policy})


def service_account(iam):
    body = {"accountId": f"runner-{uuid.uuid4().hex[:8]}"}
    return iam.call("POST", f"/v1/projects/{PROJECT}/serviceAccounts", body)["email"]


def allow_bucket(bucket, role, account):
    policy = bucket.get_iam_policy(requested_policy_version=3)
    policy.bindings.append({"role": role, "members": {f"serviceAccount:{account}"}})
    bucket.set_iam_policy(policy)


def test_who_has_no_role_is_refused_with_the_permission_and_the_resource(iam):
    answer = calls(iam, someone()).get(f"/v1/{PARENT}/tuningJobs")
    assert answer.status_code == 403
    name = f"projects/{PROJECT}/locations/us-central1"
    assert answer.json()["error"] == {
        "code": 403,
        "status": "PERMISSION_DENIED",
        "message": f"Permission 'aiplatform.tuningJobs.list' denied on resource '//aiplatform.googleapis.com/{name}'"
        " (or it may not exist).",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "IAM_PERMISSION_DENIED",
                "domain": "aiplatform.googleapis.com",
                "metadata": {"resource": name, "permission": "aiplatform.tuningJobs.list"},
            }
        ],
    }


def test_googles_client_raises_its_own_error_with_the_permission(iam):
    client = GenAiTuningServiceClient(
        transport="rest",
        credentials=Credentials(token_of(someone())),
        client_options=ClientOptions(api_endpoint=iam.url),
    )
    with pytest.raises(Forbidden) as refused:
        list(client.list_tuning_jobs(parent=PARENT))
    (info,) = refused.value.details
    assert info["reason"] == "IAM_PERMISSION_DENIED"
    assert info["metadata"]["permission"] == "aiplatform.tuningJobs.list"


def test_a_role_on_the_project_lets_in_and_not_further_than_it_reaches(iam):
    account = someone()
    grant(iam, "roles/aiplatform.viewer", account)
    with calls(iam, account) as http:
        assert http.get(f"/v1/{PARENT}/tuningJobs").status_code == 200
        assert http.get(f"/v1beta1/{PARENT}/endpoints").status_code == 200
        refused = http.post(f"/v1/{PARENT}/endpoints", json={"displayName": "e"})
        assert "'aiplatform.endpoints.create'" in refused.json()["error"]["message"]
        assert http.get("/v1/projects/another-project/locations/l/endpoints").status_code == 403
    # A 403 comes before the body is looked at, and leaves nothing behind.
    assert iam.call("GET", f"/v1/{PARENT}/endpoints") == {}


def test_storage_refuses_in_storages_shape(iam, bucket):
    account = someone()
    bucket.blob("a").upload_from_string("x")
    with pytest.raises(
        Forbidden, match=r"does not have storage\.objects\.get access to the Google Cloud Storage object"
    ):
        storage_of(iam, account).bucket(bucket.name).blob("a").download_as_bytes()
    error = calls(iam, account).get(f"/storage/v1/b/{bucket.name}").json()["error"]
    text = (
        f"{account} does not have storage.buckets.get access to the Google Cloud Storage bucket."
        " Permission 'storage.buckets.get' denied on resource (or it may not exist)."
    )
    assert error == {
        "code": 403,
        "message": text,
        "errors": [{"message": text, "domain": "global", "reason": "forbidden"}],
    }


def test_a_role_on_a_bucket_reaches_its_objects_alone(iam, bucket):
    account = service_account(iam)
    allow_bucket(bucket, "roles/storage.objectCreator", account)
    mine = storage_of(iam, account).bucket(bucket.name)
    mine.blob("new").upload_from_string("1")
    with pytest.raises(Forbidden, match=r"storage\.objects\.delete"):
        mine.blob("new").upload_from_string("2")  # to overwrite is to delete
    with pytest.raises(Forbidden, match=r"storage\.objects\.get access"):
        mine.blob("new").download_as_bytes()
    with pytest.raises(Forbidden, match=r"storage\.objects\.list"):
        list(mine.list_blobs())
    other = iam.storage(PROJECT).create_bucket(f"iam-{uuid.uuid4().hex[:10]}")
    with pytest.raises(Forbidden, match=r"storage\.objects\.create"):
        storage_of(iam, account).bucket(other.name).blob("x").upload_from_string("x")
    assert bucket.blob("new").download_as_bytes() == b"1"


def test_a_copy_needs_to_read_what_it_copies(iam, bucket):
    account = service_account(iam)
    bucket.blob("a").upload_from_string("x")
    target = iam.storage(PROJECT).create_bucket(f"iam-{uuid.uuid4().hex[:10]}")
    allow_bucket(target, "roles/storage.objectAdmin", account)
    client = storage_of(iam, account)
    source = client.bucket(bucket.name)
    with pytest.raises(Forbidden, match=r"storage\.objects\.get"):
        source.copy_blob(source.blob("a"), client.bucket(target.name), "copy")
    allow_bucket(bucket, "roles/storage.objectViewer", account)
    source.copy_blob(source.blob("a"), client.bucket(target.name), "copy")


def test_a_grant_under_a_condition_ends_with_it(iam):
    for expression, status in (
        ('request.time < timestamp("2100-01-01T00:00:00Z")', 200),
        ('request.time < timestamp("2020-01-01T00:00:00Z")', 403),
        (f'resource.name.startsWith("projects/{PROJECT}/locations/us-")', 200),
        (f'resource.name.startsWith("projects/{PROJECT}/locations/europe-")', 403),
    ):
        account = someone()
        grant(iam, "roles/aiplatform.user", account, {"title": "limited", "expression": expression})
        assert calls(iam, account).get(f"/v1/{PARENT}/models").status_code == status, expression
    unknown = {
        "policy": {
            "bindings": [
                {"role": "roles/browser", "members": ["user:a@b.c"], "condition": {"expression": "1 == 1"}}
            ]
        }
    }
    refused = iam.http.post(f"/v3/projects/{PROJECT}:setIamPolicy", json=unknown)
    assert (refused.status_code, "cannot be set" in refused.text) == (400, True)


def test_a_policy_that_would_not_mean_what_it_says_is_refused(iam):
    project = f"p{uuid.uuid4().hex[:8]}"
    name = f"/v3/projects/{project}"

    def refusal(role, condition=None, **policy):
        binding = {
            "role": role,
            "members": ["user:a@example.com"],
            **({"condition": condition} if condition else {}),
        }
        body = {"policy": {"bindings": [*owners, binding], **policy}}
        answer = iam.http.post(f"{name}:setIamPolicy", json=body)
        return None if answer.status_code == 200 else (answer.status_code, answer.json()["error"]["message"])

    policy = iam.call("POST", f"{name}:getIamPolicy", {})
    owners = policy["bindings"]
    until = {"title": "t", "expression": 'request.time < timestamp("2100-01-01T00:00:00Z")'}
    missing = f"projects/{project}/roles/nowhere"
    assert refusal(missing) == (400, f"Role ({missing}) does not exist in the resource's hierarchy.")
    assert "does not exist" in refusal("organizations/1/roles/tuner")[1]
    assert "basic roles take none" in refusal("roles/viewer", until, version=3)[1]
    words = "Specified policy version (1) cannot be less than the existing policy version (3)"
    assert words in refusal("roles/browser", until, version=1, etag=policy["etag"])[1]
    assert refusal("roles/browser", until, version=3, etag=policy["etag"]) is None
    held = iam.call("POST", f"{name}:getIamPolicy", {"options": {"requestedPolicyVersion": 3}})
    assert held["version"] == 3
    # Who knows of no conditions would take one for a grant without it.
    assert words in refusal("roles/browser", version=1, etag=held["etag"])[1]


def test_who_a_member_is(iam, bucket):
    """A domain is everybody with an address in it; a group is kept and is nobody, as nobody is known to be in it."""
    domain = f"d{uuid.uuid4().hex[:8]}.example"
    for member, status in (
        (f"domain:{domain}", 200),
        (f"group:all@{domain}", 403),
        (f"user:b@{domain}", 403),
    ):
        project = f"p{uuid.uuid4().hex[:8]}"
        policy = iam.call("POST", f"/v3/projects/{project}:getIamPolicy", {})
        policy["bindings"].append({"role": "roles/aiplatform.viewer", "members": [member]})
        kept = iam.call("POST", f"/v3/projects/{project}:setIamPolicy", {"policy": policy})
        assert kept["bindings"][-1]["members"] == [member]
        path = f"/v1/projects/{project}/locations/us-central1/models"
        assert calls(iam, f"a@{domain}").get(path).status_code == status, member


def test_one_learns_truly_what_one_may_do(iam, bucket):
    account = someone()
    grant(iam, "roles/aiplatform.user", account)
    asked = ["aiplatform.tuningJobs.create", "resourcemanager.projects.setIamPolicy", "storage.objects.get"]
    client = resourcemanager_v3.ProjectsClient(
        transport="rest",
        credentials=Credentials(token_of(account)),
        client_options=ClientOptions(api_endpoint=iam.url),
    )
    held = client.test_iam_permissions(resource=f"projects/{PROJECT}", permissions=asked)
    assert list(held.permissions) == ["aiplatform.tuningJobs.create"]
    theirs = storage_of(iam, account).bucket(bucket.name)
    assert theirs.test_iam_permissions(["storage.objects.get", "storage.objects.create"]) == []
    assert bucket.test_iam_permissions(["storage.objects.get"]) == ["storage.objects.get"]


def test_the_first_owner_of_a_project_is_the_local_account_and_stays_able(iam):
    project = f"p{uuid.uuid4().hex[:8]}"
    policy = iam.call("POST", f"/v3/projects/{project}:getIamPolicy", {})
    owner = f"serviceAccount:{iam.options.account}"
    assert policy["bindings"] == [{"role": "roles/owner", "members": [owner]}]
    iam.call("POST", f"/v3/projects/{project}:setIamPolicy", {"policy": {"bindings": []}})
    assert iam.call("GET", f"/v1/projects/{project}/locations/us-central1/models") == {}


def test_the_local_account_may_be_given_less(iam):
    project, owner, local = f"p{uuid.uuid4().hex[:8]}", someone(), iam.options.account
    bindings = [
        {"role": "roles/owner", "members": [f"user:{owner}"]},
        {"role": "roles/aiplatform.viewer", "members": [f"serviceAccount:{local}"]},
    ]
    iam.call("POST", f"/v3/projects/{project}:setIamPolicy", {"policy": {"bindings": bindings}})
    path = f"/v1/projects/{project}/locations/us-central1/endpoints"
    assert iam.http.get(path).status_code == 200
    assert iam.http.post(path, json={"displayName": "e"}).status_code == 403
    with calls(iam, owner) as http:
        assert http.post(path, json={"displayName": "e"}).status_code == 200


def test_without_a_token_one_is_the_local_account_until_told_otherwise(iam, bucket):
    client = storage.Client(
        project=PROJECT, credentials=AnonymousCredentials(), client_options={"api_endpoint": iam.url}
    )
    assert list(client.list_blobs(bucket.name)) == []
    iam.call("POST", "/_local/settings", {"anonymousIsLocal": False})
    try:
        refused = iam.http.get(f"/storage/v1/b/{bucket.name}/o")
        assert refused.status_code == 401
        assert "Anonymous caller does not have storage.objects.list access" in refused.text
        missing = iam.http.get(f"/v1/{PARENT}/models").json()["error"]
        assert (missing["status"], missing["details"][0]["reason"]) == (
            "UNAUTHENTICATED",
            "CREDENTIALS_MISSING",
        )
        owned = calls(iam, iam.options.account)
        everyone = {"bindings": [{"role": "roles/storage.objectViewer", "members": ["allUsers"]}]}
        assert owned.put(f"/storage/v1/b/{bucket.name}/iam", json=everyone).status_code == 200
        assert list(client.list_blobs(bucket.name)) == []
    finally:
        iam.call("POST", "/_local/settings", {"anonymousIsLocal": True})


def test_a_token_that_nobody_gave_out_is_refused(iam):
    for header in ("Bearer ya29.something", "Bearer x.y.z"):
        answer = httpx.get(f"{iam.url}/v1/{PARENT}/models", headers={"authorization": header})
        assert answer.status_code == 401
        assert "invalid authentication credentials" in answer.json()["error"]["message"]


def test_a_disabled_account_is_nobody(iam):
    account = service_account(iam)
    grant(iam, "roles/aiplatform.user", account)
    with calls(iam, account) as http:
        assert http.get(f"/v1/{PARENT}/models").status_code == 200
        iam.call("POST", f"/v1/projects/{PROJECT}/serviceAccounts/{account}:disable", {})
        assert http.get(f"/v1/{PARENT}/models").status_code == 401


def pipeline_job(iam, bucket, account=None, **parameters):
    rows = "\n".join(json.dumps({"input_text": f"a {n}", "output_text": "b"}) for n in range(4))
    bucket.blob("train.jsonl").upload_from_string(rows)
    values = {
        "project": PROJECT,
        "location": "us-central1",
        "model_display_name": "m",
        "dataset_uri": f"gs://{bucket.name}/train.jsonl",
        "train_steps": 2,
        **parameters,
    }
    return {
        "displayName": "j",
        "templateUri": iam.template,
        "runtimeConfig": {"gcsOutputDirectory": f"gs://{bucket.name}/out", "parameterValues": values},
        **({"serviceAccount": account} if account else {}),
    }


def test_one_must_be_allowed_to_act_as_the_account_of_a_job(iam, bucket):
    submitter, runner = someone(), service_account(iam)
    grant(iam, "roles/aiplatform.user", submitter)
    with calls(iam, submitter) as http:
        refused = http.post(f"/v1/{PARENT}/pipelineJobs", json=pipeline_job(iam, bucket, runner))
        assert (refused.status_code, refused.json()["error"]["message"]) == (
            400,
            f"You do not have permission to act as service_account: {runner}. (or it may not exist).",
        )
        assert iam.call("GET", f"/v1/{PARENT}/pipelineJobs", filter=f"serviceAccount={runner}") == {}
        name = f"/v1/projects/{PROJECT}/serviceAccounts/{runner}:setIamPolicy"
        binding = {"role": "roles/iam.serviceAccountUser", "members": [f"user:{submitter}"]}
        iam.call("POST", name, {"policy": {"bindings": [binding]}})
        accepted = http.post(f"/v1/{PARENT}/pipelineJobs", json=pipeline_job(iam, bucket, runner))
        assert accepted.status_code == 200
    missing = pipeline_job(iam, bucket, f"nobody@{PROJECT}.iam.gserviceaccount.com")
    assert iam.http.post(f"/v1/{PARENT}/pipelineJobs", json=missing).status_code == 400


def ended(iam, body):
    return iam.wait(iam.call("POST", f"/v1/{PARENT}/pipelineJobs", body)["name"])


def test_a_job_reads_and_writes_as_its_account(iam, bucket):
    runner, elsewhere = (
        service_account(iam),
        iam.storage(PROJECT).create_bucket(f"iam-{uuid.uuid4().hex[:10]}"),
    )
    grant(iam, "roles/aiplatform.user", runner)
    job = ended(iam, pipeline_job(iam, bucket, runner))
    assert (job["state"], job["error"]["code"]) == ("PIPELINE_STATE_FAILED", 7)
    # The bucket of the output is asked before anything runs, in Vertex AI's words; another by whoever reads it.
    assert job["error"]["message"].startswith(
        f"Failed to create pipeline job. Error: Service account `{runner}` does not have `[storage.objects.get,"
        f' storage.objects.create]` IAM permission(s) to the bucket "{bucket.name}".'
    )
    allow_bucket(bucket, "roles/storage.objectViewer", runner)
    assert "`[storage.objects.create]`" in ended(iam, pipeline_job(iam, bucket, runner))["error"]["message"]
    allow_bucket(bucket, "roles/storage.objectUser", runner)
    assert ended(iam, pipeline_job(iam, bucket, runner))["state"] == "PIPELINE_STATE_SUCCEEDED"
    elsewhere.blob("eval.jsonl").upload_from_string('{"input_text": "a", "output_text": "b"}')
    uri = f"gs://{elsewhere.name}/eval.jsonl"
    job = ended(iam, pipeline_job(iam, bucket, runner, evaluation_data_uri=uri))
    assert f"{runner} does not have storage.objects.get access" in job["error"]["message"]


def test_a_pipelines_account_needs_what_each_of_its_steps_calls(iam, bucket):
    """And no more: a role of the project's own with these permissions is enough."""
    runner = service_account(iam)
    allow_bucket(bucket, "roles/storage.objectUser", runner)
    board = iam.call("POST", f"/v1/{PARENT}/tensorboards", {"displayName": "b"})["name"]
    board = board.partition("/operations/")[0]
    role = iam.call(
        "POST",
        f"/v1/projects/{PROJECT}/roles",
        {"roleId": f"runs_{uuid.uuid4().hex[:8]}", "role": {"title": "Runs", "includedPermissions": []}},
    )["name"]
    grant(iam, role, runner)
    needed = [
        ("aiplatform.metadataStores.get", "Failed to create pipeline job. Error: ", "metadataStores/default"),
        ("aiplatform.customJobs.create", "", "locations/us-central1"),
        ("aiplatform.tensorboards.get", "", "/tensorboards/"),
        ("aiplatform.tensorboardExperiments.create", "", "/tensorboards/"),
        ("aiplatform.tensorboardRuns.create", "", "/tensorboards/"),
        ("aiplatform.tensorboardTimeSeries.create", "", "/tensorboards/"),
        ("aiplatform.tensorboardRuns.write", "", "/tensorboards/"),
        ("aiplatform.models.upload", "", "locations/us-central1"),
        ("aiplatform.endpoints.create", "", "locations/us-central1"),
        ("aiplatform.endpoints.deploy", "", "locations/us-central1"),
    ]
    held = []
    for permission, before, where in needed:
        job = ended(iam, pipeline_job(iam, bucket, runner, tensorboard_resource_id=board))
        message = job["error"]["message"]
        assert job["error"]["code"] == 7
        start = f"{before}Permission '{permission}' denied on resource '//aiplatform.googleapis.com/projects/{PROJECT}/"
        assert message.startswith(start), message
        assert where in message
        held.append(permission)
        iam.call("PATCH", f"/v1/{role}", {"includedPermissions": held}, updateMask="includedPermissions")
    job = ended(iam, pipeline_job(iam, bucket, runner, tensorboard_resource_id=board))
    assert job["state"] == "PIPELINE_STATE_SUCCEEDED"


def test_a_model_is_read_by_googles_agent_and_an_image_pulled_by_it(iam):
    foreign = iam.storage("p1").create_bucket(f"iam-{uuid.uuid4().hex[:10]}")
    foreign.blob("model/adapter.bin").upload_from_string("x")
    model = {"displayName": "m", "artifactUri": f"gs://{foreign.name}/model"}
    refused = iam.http.post(f"/v1/{PARENT}/models:upload", json={"model": model})
    agent = "@gcp-sa-aiplatform.iam.gserviceaccount.com` does not have `[storage.objects.get]` IAM permission(s) to"
    assert (refused.status_code, agent in refused.text) == (400, True), refused.text
    repositories = "/v1/projects/p1/locations/us-central1/repositories"
    iam.call("POST", repositories, {"format": "DOCKER"}, repositoryId="images")
    image = "us-central1-docker.pkg.dev/p1/images/tunestack-trainer-hf:1"
    pool = {"machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": 1}
    pool["containerSpec"] = {"imageUri": image, "args": ["--spec", "/gcs/b/spec.json"]}
    body = {"displayName": "j", "jobSpec": {"workerPoolSpecs": [pool]}}
    pulls = "Permission 'artifactregistry.repositories.downloadArtifacts' denied"

    def message():
        job = iam.wait(iam.call("POST", f"/v1/{PARENT}/customJobs", body)["name"])
        return job["error"]["message"]

    assert pulls in message()
    number = iam.call("GET", f"/v1/projects/{PROJECT}")["projectNumber"]
    member = f"serviceAccount:service-{number}@gcp-sa-aiplatform-cc.iam.gserviceaccount.com"
    policy = {"bindings": [{"role": "roles/artifactregistry.reader", "members": [member]}]}
    iam.call("POST", f"{repositories}/images:setIamPolicy", {"policy": policy})
    assert pulls not in message()  # it comes as far as its spec, which is not there


def test_an_operation_asks_for_its_own_services_permission(iam):
    account = someone()
    grant(iam, "roles/artifactregistry.admin", account)
    parent = f"/v1/projects/{PROJECT}/locations/us-central1"
    with calls(iam, account) as http:
        identifier = {"repositoryId": f"r{uuid.uuid4().hex[:8]}"}
        made = http.post(f"{parent}/repositories", params=identifier, json={"format": "DOCKER"})
        operation = f"/v1/{made.json()['name']}"
        assert http.get(operation).json()["done"] is True
        assert http.get(f"{parent}/endpoints").status_code == 403
    with calls(iam, someone()) as http:
        error = http.get(operation).json()["error"]
        assert error["details"][0]["metadata"]["permission"] == "artifactregistry.repositories.get"
        assert error["details"][0]["domain"] == "artifactregistry.googleapis.com"


def test_a_tuning_job_without_an_account_reads_as_googles_agent(iam):
    spec = iam.tuning_data(4)  # in a bucket of project p1
    body = {"baseModel": "gemini-2.5-flash", "supervisedTuningSpec": spec}
    job = iam.wait(iam.call("POST", f"/v1/{PARENT}/tuningJobs", body)["name"])
    assert (
        "@gcp-sa-vertex-tune.iam.gserviceaccount.com does not have storage.objects.get"
        in job["error"]["message"]
    )
    own = iam.call("POST", "/v1/projects/p1/locations/us-central1/tuningJobs", body)["name"]
    assert iam.wait(own)["state"] == "JOB_STATE_SUCCEEDED"


def test_who_may_create_tokens_may_be_the_account_by_googles_own_impersonation(iam, bucket):
    account, user = service_account(iam), someone()
    allow_bucket(bucket, "roles/storage.objectCreator", account)

    def impersonated():
        return impersonated_credentials.Credentials(
            Credentials(token_of(user)),
            account,
            ["https://www.googleapis.com/auth/devstorage.read_write"],
            iam_endpoint_override=f"{iam.url}/v1/projects/-/serviceAccounts/{account}:generateAccessToken",
        )

    def write():
        client = storage.Client(
            project=PROJECT, credentials=impersonated(), client_options={"api_endpoint": iam.url}
        )
        client.bucket(bucket.name).blob("by-account").upload_from_string("x")

    with pytest.raises(RefreshError, match=r"iam\.serviceAccounts\.getAccessToken"):
        write()
    binding = {"role": "roles/iam.serviceAccountTokenCreator", "members": [f"user:{user}"]}
    name = f"/v1/projects/{PROJECT}/serviceAccounts/{account}:setIamPolicy"
    iam.call("POST", name, {"policy": {"bindings": [binding]}})
    write()
    last = iam.requests("storage.objects.insert")[-1]
    assert (last["status"], last["principal"]) == (200, account)
