"""Quotas: what is granted, asking for more, and being answered as a script says."""

from __future__ import annotations

import uuid

import pytest
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from googleapiclient import discovery, errors

A100 = "CustomModelTrainingA10080GBGPUsPerProjectPerRegion"
SERVICE = "aiplatform.googleapis.com"
REGION = {"region": "us-central1"}


@pytest.fixture
def project():
    return f"p-{uuid.uuid4().hex[:10]}"


@pytest.fixture(autouse=True)
def no_decisions(emulator):
    yield
    emulator.call("DELETE", "/_local/quotas")


def path(project):
    return f"/v1/projects/{project}/locations/global/quotaPreferences"


def preference(value, quota=A100, dimensions=None, **fields):
    return {
        "service": SERVICE,
        "quotaId": quota,
        "dimensions": REGION if dimensions is None else dimensions,
        "quotaConfig": {"preferredValue": value},
        **fields,
    }


def granted(emulator, project, quota=A100):
    """{region or "": value}."""
    name = f"projects/{project}/locations/global/services/{SERVICE}/quotaInfos/{quota}"
    info = emulator.call("GET", f"/v1/{name}")
    return {
        item.get("dimensions", {}).get("region", ""): int(item["details"]["value"])
        for item in info["dimensionsInfos"]
    }


def test_a_request_for_more_is_reconciling_and_then_in_force(emulator, project):
    body = preference(
        8, contactEmail="me@example.com", justification="to tune", quotaConfig={"preferred_value": "8"}
    )
    created = emulator.call("POST", path(project), body, quotaPreferenceId="a100")
    assert created["reconciling"]
    assert (created["quotaConfig"]["preferredValue"], created["quotaConfig"]["grantedValue"]) == ("8", "0")
    assert created["quotaConfig"]["traceId"]
    assert "contactEmail" not in created
    assert created["name"].split("/")[1].isdigit()
    read = emulator.call("GET", f"{path(project)}/a100")
    assert (read["reconciling"], read["quotaConfig"]["grantedValue"]) == (False, "8")
    assert read["justification"] == "to tune"
    assert granted(emulator, project) == {"us-central1": 8, "": 0}
    assert emulator.call("GET", f"{path(project)}/a100") == read


@pytest.mark.parametrize(
    ("decision", "reconciling", "value"), [("deny", False, 0), ("partial", False, 4), ("hold", True, 0)]
)
def test_a_script_decides_on_a_request(emulator, project, decision, reconciling, value):
    script = {
        "quotaId": "*A10080GB*",
        "decision": decision,
        **({"value": 4} if decision == "partial" else {}),
    }
    emulator.call("POST", "/_local/quotas", script)
    emulator.call("POST", path(project), preference(8), quotaPreferenceId="a100")
    read = emulator.call("GET", f"{path(project)}/a100")
    assert (read["reconciling"], int(read["quotaConfig"]["grantedValue"])) == (reconciling, value)
    assert read["quotaConfig"]["preferredValue"] == "8"
    assert read["quotaConfig"]["stateDetail"]
    emulator.call("POST", "/_local/quotas", {"quotaId": A100, "decision": "grant"})
    later = emulator.call("GET", f"{path(project)}/a100")
    assert int(later["quotaConfig"]["grantedValue"]) == (8 if decision == "hold" else value)


def test_a_limit_changed_behind_its_back_is_what_reads(emulator, project):
    emulator.call("POST", path(project), preference(8), quotaPreferenceId="a100")
    emulator.call("GET", f"{path(project)}/a100")
    lowered = {"project": project, "quotaId": A100, "dimensions": REGION, "value": 2}
    emulator.call("POST", "/_local/quotas", lowered)
    assert emulator.call("GET", f"{path(project)}/a100")["quotaConfig"]["grantedValue"] == "2"


def test_there_is_one_preference_for_a_quota_and_its_dimensions(emulator, project):
    emulator.call("POST", path(project), preference(8))
    again = emulator.http.post(path(project), json=preference(16))
    assert (again.status_code, again.json()["error"]["status"]) == (409, "ALREADY_EXISTS")
    emulator.call("POST", path(project), preference(4, dimensions={"region": "europe-west4"}))
    found = emulator.call("GET", path(project), filter=f"quotaId={A100}", orderBy="create_time", pageSize=1)
    assert len(found["quotaPreferences"]) == 1
    assert found["nextPageToken"]
    assert granted(emulator, project)["europe-west4"] == 4


def test_a_patch_asks_anew_and_less_needs_the_safety_check_switched_off(emulator, project):
    emulator.call("POST", path(project), preference(8), quotaPreferenceId="a100")
    read = emulator.call("GET", f"{path(project)}/a100")
    change = {"quotaConfig": {"preferredValue": "16"}, "etag": read["etag"]}
    changed = emulator.call("PATCH", f"{path(project)}/a100", change, updateMask="quotaConfig.preferredValue")
    assert (changed["reconciling"], changed["quotaConfig"]["grantedValue"]) == (True, "8")
    assert emulator.http.patch(f"{path(project)}/a100", json=change).json()["error"]["status"] == "ABORTED"
    assert emulator.call("GET", f"{path(project)}/a100")["quotaConfig"]["grantedValue"] == "16"
    less = preference(2)
    refused = emulator.http.patch(f"{path(project)}/a100", json=less)
    assert "QUOTA_DECREASE_PERCENTAGE_TOO_HIGH" in refused.json()["error"]["message"]
    ignored = "QUOTA_DECREASE_PERCENTAGE_TOO_HIGH"
    done = emulator.call("PATCH", f"{path(project)}/a100", less, ignoreSafetyChecks=ignored)
    assert (done["reconciling"], done["quotaConfig"]["grantedValue"]) == (False, "2")
    other = emulator.http.patch(
        f"{path(project)}/a100", json=preference(2, dimensions={}), params={"updateMask": "dimensions"}
    )
    assert "cannot be changed" in other.json()["error"]["message"]
    missing = f"{path(project)}/new"
    assert emulator.http.patch(missing, json=preference(1, dimensions={})).status_code == 404
    assert emulator.call("PATCH", missing, preference(1, dimensions={}), allowMissing=True)["name"].endswith(
        "/new"
    )
    assert emulator.http.delete(missing).status_code == 404


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (preference(8, quota="NoSuchQuota"), "has no quota NoSuchQuota"),
        (preference(8, dimensions={"zone": "a"}), "has the dimensions ['region'], not ['zone']"),
        (preference(-2), "must be -1 (unlimited) or more"),
        ({"service": SERVICE, "quotaId": A100}, "Required field is not set: quota_config"),
        (preference("many"), "TYPE_INT64"),
    ],
)
def test_a_preference_that_google_would_refuse_is_refused(emulator, project, body, words):
    answer = emulator.http.post(path(project), json=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]
    assert (
        emulator.http.post(path(project).replace("global", "us-central1"), json=preference(1)).status_code
        == 400
    )


def test_quotas_are_found_by_metric_and_display_name(emulator, project):
    parent = f"/v1/projects/{project}/locations/global/services/{SERVICE}/quotaInfos"
    infos = emulator.call("GET", parent)["quotaInfos"]
    names = {info["quotaDisplayName"]: info for info in infos}
    assert "Restricted image training TPU V3 pod cores per region" in names
    assert (
        "us-central1"
        in names["Restricted image training CPUs for A2 CPU types per region"]["dimensionsInfos"][0][
            "applicableLocations"
        ]
    )
    tuning = next(info for info in infos if info["metric"].endswith("global_concurrent_tuning_jobs"))
    assert tuning["dimensionsInfos"] == [{"details": {"value": "1"}, "applicableLocations": ["global"]}]
    assert emulator.http.get(f"{parent}/NoSuchQuota").status_code == 404


def test_an_override_lowers_a_limit_and_never_raises_it(emulator, project):
    usage = discovery.build(
        "serviceusage",
        "v1beta1",
        credentials=AnonymousCredentials(),
        client_options=ClientOptions(api_endpoint=emulator.url),
        static_discovery=True,
    ).services()
    emulator.call(
        "POST", "/_local/quotas", {"project": project, "quotaId": A100, "dimensions": REGION, "value": 8}
    )
    metrics = usage.consumerQuotaMetrics()
    found = metrics.list(parent=f"projects/{project}/services/{SERVICE}").execute()["metrics"]
    metric = next(
        item for item in found if item["metric"].endswith("custom_model_training_nvidia_a100_80gb_gpus")
    )
    limit = metric["consumerQuotaLimits"][0]["name"]
    overrides = metrics.limits().consumerOverrides()
    with pytest.raises(errors.HttpError, match="cannot raise it to 16"):
        overrides.create(parent=limit, body={"overrideValue": "16", "dimensions": REGION}).execute()
    made = overrides.create(parent=limit, body={"overrideValue": "4", "dimensions": REGION}).execute()[
        "response"
    ]
    buckets = metrics.limits().get(name=limit).execute()["quotaBuckets"]
    assert [bucket["effectiveLimit"] for bucket in buckets] == ["0", "4"]
    assert metrics.get(name=metric["name"]).execute()["consumerQuotaLimits"][0]["quotaBuckets"] == buckets
    overrides.patch(name=made["name"], body={"overrideValue": "6"}, updateMask="overrideValue").execute()
    assert overrides.list(parent=limit).execute()["overrides"][0]["overrideValue"] == "6"
    overrides.delete(name=made["name"]).execute()
    assert (
        "overrides" not in overrides.list(parent=limit).execute()
        or not overrides.list(parent=limit).execute()["overrides"]
    )


def custom_job(emulator, project, count, **scheduling):
    pool = {
        "machineSpec": {"acceleratorType": "NVIDIA_A100_80GB", "acceleratorCount": count},
        "containerSpec": {"imageUri": "python:3.11"},
    }
    name = emulator.script(state="RUNNING")
    job_spec = {"workerPoolSpecs": [pool], **({"scheduling": scheduling} if scheduling else {})}
    path = f"/v1/projects/{project}/locations/us-central1/customJobs"
    return emulator.http.post(path, json={"displayName": name, "jobSpec": job_spec})


def test_a_custom_job_beyond_the_grant_is_refused_with_the_quota(emulator, project):
    assert custom_job(emulator, project, 100).status_code == 200
    emulator.call(
        "POST", "/_local/quotas", {"project": project, "quotaId": A100, "dimensions": REGION, "value": 104}
    )
    assert custom_job(emulator, project, 4).status_code == 200
    refused = custom_job(emulator, project, 1)
    error = refused.json()["error"]
    assert (refused.status_code, error["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert "custom_model_training_nvidia_a100_80gb_gpus" in error["message"]
    assert error["details"][1]["metadata"]["quota_limit_value"] == "104"
    assert custom_job(emulator, project, 1, strategy="SPOT").status_code == 200


def test_tuning_jobs_beyond_the_grant_wait_for_quota(emulator, project):
    limit = {"project": project, "quotaId": "GlobalConcurrentTuningJobsPerProject", "value": 0}
    emulator.call("POST", "/_local/quotas", limit)
    body = {"baseModel": "gemini-2.5-flash", "supervisedTuningSpec": emulator.tuning_data(4)}
    job = emulator.call("POST", f"/v1/projects/{project}/locations/us-central1/tuningJobs", body)["name"]
    emulator.wait(job, lambda row: row.get("tuningJobState") == "TUNING_JOB_STATE_WAITING_FOR_QUOTA")
    emulator.call("POST", "/_local/quotas", {**limit, "value": 1})
    assert emulator.wait(job)["state"] == "JOB_STATE_SUCCEEDED"


def pod_quota(value):
    return {
        "quotaId": "RestrictedImageTrainingV3PodTPUsPerProjectPerRegion",
        "dimensions": {"region": "europe-west4"},
        "value": value,
    }


def test_a_tuning_pipeline_beyond_the_grant_of_its_accelerator_fails_in_its_tune_task(emulator):
    """The pipeline job is accepted, as Google's is: its task's machine is what is refused."""
    emulator.call("POST", "/_local/quotas", {"project": "p1", **pod_quota(32)})
    refused = emulator.wait(emulator.submit(emulator.bucket(), location="europe-west4", train_steps=2))
    assert refused["state"] == "PIPELINE_STATE_FAILED"
    assert refused["error"]["code"] == 8
    assert "aiplatform.googleapis.com/restricted_image_training_tpu_v3_pod" in refused["error"]["message"]
    states = {task["taskName"]: task["state"] for task in refused["jobDetail"]["taskDetails"]}
    assert (states["validate-dataset"], states["tune"]) == ("SUCCEEDED", "FAILED")
    gpu = emulator.submit(emulator.bucket(), location="europe-west4", train_steps=2, accelerator_type="GPU")
    assert emulator.wait(gpu)["state"] == "PIPELINE_STATE_SUCCEEDED"
    emulator.call("POST", "/_local/quotas", {"project": "p1", **pod_quota(64)})
    granted = emulator.wait(emulator.submit(emulator.bucket(), location="europe-west4", train_steps=2))
    assert granted["state"] == "PIPELINE_STATE_SUCCEEDED"


def test_a_pod_is_one_jobs_at_a_time_where_one_pod_is_granted(emulator):
    emulator.call("POST", "/_local/quotas", {"project": "p1", **pod_quota(64)})
    held = emulator.script(state="RUNNING")
    first = emulator.submit(emulator.bucket(), location="europe-west4", train_steps=2, display_name=held)
    emulator.wait(
        first, lambda job: "jobDetail" in job and job["jobDetail"]["taskDetails"][1]["state"] == "RUNNING"
    )
    second = emulator.wait(emulator.submit(emulator.bucket(), location="europe-west4", train_steps=2))
    assert second["error"]["code"] == 8
    emulator.call("POST", f"/v1/{first}:cancel")
    emulator.wait(first)
    third = emulator.wait(emulator.submit(emulator.bucket(), location="europe-west4", train_steps=2))
    assert third["state"] == "PIPELINE_STATE_SUCCEEDED"


def test_googles_defaults_hold_in_a_new_project_where_they_are_asked_for(emulator, project):
    assert custom_job(emulator, project, 1).status_code == 200
    emulator.call("POST", "/_local/settings", {"defaultQuotas": True})
    try:
        refused = custom_job(emulator, project, 1)
        assert refused.status_code == 429
        assert refused.json()["error"]["details"][1]["metadata"]["quota_limit_value"] == "0"
    finally:
        emulator.call("POST", "/_local/settings", {"defaultQuotas": False})


def test_a_deployment_beyond_the_grant_is_refused_with_the_quota(emulator, project):
    serving = "CustomModelServingL4GPUsPerProjectPerRegion"
    limit = {"project": project, "quotaId": serving, "dimensions": REGION, "value": 1}
    emulator.call("POST", "/_local/quotas", limit)
    parent = f"/v1/projects/{project}/locations/us-central1"
    model = emulator.call("POST", f"{parent}/models:upload", {"model": {"displayName": "m"}})["response"][
        "model"
    ]
    endpoint = emulator.call("POST", f"{parent}/endpoints", {"displayName": "e"})["name"].partition(
        "/operations/"
    )[0]
    machine = {"machineType": "g2-standard-8", "acceleratorType": "NVIDIA_L4", "acceleratorCount": 1}

    def deploy(replicas):
        resources = {"machineSpec": machine, "minReplicaCount": replicas}
        body = {"deployedModel": {"model": model, "dedicatedResources": resources}}
        return emulator.http.post(f"/v1/{endpoint}:deployModel", json=body)

    assert deploy(2).json()["error"]["details"][1]["metadata"]["quota_limit"] == serving
    assert deploy(1).status_code == 200
    assert deploy(1).status_code == 429


def test_a_decision_takes_the_time_it_is_said_to_take(start):
    emulator = start()
    emulator.call("POST", "/_local/quotas", {"decision": "grant", "afterSeconds": 172800})
    emulator.call("POST", path("p1"), preference(8), quotaPreferenceId="a100")
    assert emulator.call("GET", f"{path('p1')}/a100")["reconciling"] is True
    emulator.call("POST", "/_local/clock", {"advanceSeconds": 172700})
    assert emulator.call("GET", f"{path('p1')}/a100")["reconciling"] is True
    emulator.call("POST", "/_local/clock", {"advanceSeconds": 101})
    read = emulator.call("GET", f"{path('p1')}/a100")
    assert (read["reconciling"], read["quotaConfig"]["grantedValue"]) == (False, "8")
    # A scripted job that takes a week takes one here too, of the same clock, which a restart does not turn back.
    name = emulator.script(state="SUCCEEDED", afterSeconds=7 * 86400)
    body = {
        "displayName": name,
        "jobSpec": {"workerPoolSpecs": [{"containerSpec": {"imageUri": "python:3.11"}}]},
    }
    job = emulator.call("POST", "/v1/projects/p1/locations/us-central1/customJobs", body)["name"]
    emulator.wait(job, lambda row: row["state"] == "JOB_STATE_RUNNING")
    before = emulator.call("POST", "/_local/clock", {"advanceSeconds": 7 * 86400 - 60})["now"]
    assert emulator.call("GET", f"/v1/{job}")["state"] == "JOB_STATE_RUNNING"
    emulator.kill()
    emulator.start_again()
    assert emulator.call("GET", "/_local/clock")["now"] > before
    emulator.call("POST", "/_local/clock", {"advanceSeconds": 60})
    assert emulator.wait(job)["state"] == "JOB_STATE_SUCCEEDED"


def test_googles_own_tuning_images_count_against_quotas_of_their_own(emulator, project):
    restricted = "RestrictedImageTrainingA10080GBGPUsPerProjectPerRegion"
    limit = {"project": project, "quotaId": restricted, "dimensions": REGION, "value": 8}
    emulator.call("POST", "/_local/quotas", limit)
    pool = {
        "machineSpec": {"acceleratorType": "NVIDIA_A100_80GB", "acceleratorCount": 8},
        "containerSpec": {
            "imageUri": "us-docker.pkg.dev/vertex-ai-restricted/rlhf/refined_gpu:20240818_1707"
        },
    }
    body = {"displayName": emulator.script(state="RUNNING"), "jobSpec": {"workerPoolSpecs": [pool]}}
    path = f"/v1/projects/{project}/locations/us-central1/customJobs"
    assert emulator.http.post(path, json=body).status_code == 200
    refused = emulator.http.post(path, json=body).json()["error"]
    assert refused["details"][1]["metadata"]["quota_limit"] == restricted
    assert custom_job(emulator, project, 8).status_code == 200
