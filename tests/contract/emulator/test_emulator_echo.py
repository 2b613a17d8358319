"""What is sent reads back: any body that Google's schema allows, for the resources that are kept whole."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tunestack.emulator.documents import load

SCHEMAS = load().schemas
SPECS = tuple(
    name
    for name in SCHEMAS["aiplatform.v1beta1"]["GoogleCloudAiplatformV1beta1TuningJob"]["properties"]
    if name.endswith("Spec") and name != "encryptionSpec"
)
LABELS = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True),
    st.from_regex(r"[a-z0-9_-]{0,8}", fullmatch=True),
    max_size=3,
)
# A resource may only name a key that its service can use.
KEYS = {
    "kmsKeyName": "projects/p9/locations/us-central1/keyRings/echo/cryptoKeys/echo",
    "defaultKmsKeyName": "projects/p9/locations/us/keyRings/echo/cryptoKeys/echo",
}
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)


def values(document: str, schema: dict[str, Any], depth: int) -> st.SearchStrategy[Any]:
    """Values that a discovery schema allows, in canonical form, a few levels deep."""
    if "$ref" in schema:
        return bodies(document, schema["$ref"], depth - 1)
    if "properties" in schema:
        return body_of(document, schema, depth - 1, ())
    kind, style = schema.get("type", "any"), schema.get("format", "")
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if kind == "string" and style in ("int64", "uint64"):
        return st.integers(0, 2**53).map(str)
    if kind == "string" and style == "byte":
        return st.sampled_from(["", "YQ==", "YWI="])
    if kind == "string" and style == "google-duration":
        return st.sampled_from(["600s", "86400s"])
    if kind == "string" and style == "google-datetime":
        return st.just("2026-01-01T00:00:00Z")
    if kind == "string" and style == "google-fieldmask":
        return st.just("displayName")
    if kind == "string":
        return TEXT
    if kind == "boolean":
        return st.booleans()
    if kind == "integer":
        return st.integers(0, 2**31 - 1)
    if kind == "number":
        return st.floats(allow_nan=False, allow_infinity=False)
    if kind == "array":
        return st.lists(
            values(document, schema["items"], depth), min_size=int(schema.get("required", False)), max_size=2
        )
    if kind == "object" and "additionalProperties" in schema:
        return st.dictionaries(TEXT, values(document, schema["additionalProperties"], depth), max_size=2)
    return st.recursive(st.booleans() | TEXT, lambda inner: st.lists(inner, max_size=2), max_leaves=3)


def bodies(document: str, name: str, depth: int = 3, without: tuple[str, ...] = ()) -> st.SearchStrategy[Any]:
    schema = SCHEMAS[document][name]
    return (
        body_of(document, schema, depth, without)
        if "properties" in schema
        else values(document, schema, depth)
    )


def body_of(
    document: str, schema: dict[str, Any], depth: int, without: tuple[str, ...]
) -> st.SearchStrategy[Any]:
    fields = {
        field: LABELS
        if field == "labels"
        else st.just(KEYS[field])
        if field in KEYS
        else values(document, child, depth)
        for field, child in schema["properties"].items()
        if not child.get("readOnly")
        and field not in (*without, "etag")
        and (
            depth > 0
            or child.get("required")
            or not ({"$ref", "items", "additionalProperties", "properties"} & set(child))
        )
    }
    needed = {field for field in fields if schema["properties"][field].get("required")}
    return st.fixed_dictionaries(
        {field: fields[field] for field in needed},
        optional={field: strategy for field, strategy in fields.items() if field not in needed},
    )


def kept(sent: Any, read: Any, path: str = "") -> None:
    """Everything in ``sent`` is in ``read``."""
    if isinstance(sent, dict):
        assert isinstance(read, dict), path
        for key, value in sent.items():
            assert key in read, f"{path}.{key} is lost"
            kept(value, read[key], f"{path}.{key}")
    elif isinstance(sent, list) and isinstance(read, list) and len(sent) == len(read):
        for index, (value, found) in enumerate(zip(sent, read, strict=True)):
            kept(value, found, f"{path}[{index}]")
    else:
        assert sent == read, path


@pytest.fixture(scope="module", autouse=True)
def keys(emulator):
    for key in KEYS.values():
        location = key.partition("/keyRings/")[0]
        emulator.call("POST", f"/v1/{location}/keyRings", {}, keyRingId="echo")
        body = {"purpose": "ENCRYPT_DECRYPT"}
        emulator.call("POST", f"/v1/{location}/keyRings/echo/cryptoKeys", body, cryptoKeyId="echo")


SLOW = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
PARENT = "/v1/projects/p9/locations/us-central1"


@SLOW
@given(body=bodies("aiplatform.v1", "GoogleCloudAiplatformV1Endpoint", without=("name", "trafficSplit")))
def test_an_endpoint_reads_back_as_sent(emulator, body):
    body["displayName"] = body.get("displayName") or "x"
    operation = emulator.call("POST", f"{PARENT}/endpoints", body)
    kept(body, emulator.call("GET", "/v1/" + operation["name"].partition("/operations/")[0]))


@SLOW
@given(body=bodies("aiplatform.v1", "GoogleCloudAiplatformV1Tensorboard", without=("name",)))
def test_a_tensorboard_reads_back_as_sent(emulator, body):
    operation = emulator.call("POST", f"{PARENT}/tensorboards", body)
    kept(body, emulator.call("GET", "/v1/" + operation["name"].partition("/operations/")[0]))


@SLOW
@given(
    body=bodies(
        "aiplatform.v1", "GoogleCloudAiplatformV1Model", without=("name", "versionAliases", "artifactUri")
    )
)
def test_a_model_reads_back_as_sent(emulator, body):
    operation = emulator.call("POST", f"{PARENT}/models:upload", {"model": body})
    kept(body, emulator.call("GET", "/v1/" + operation["response"]["model"]))


@SLOW
@given(
    body=bodies(
        "aiplatform.v1", "GoogleCloudAiplatformV1PipelineJob", without=("pipelineSpec", "templateUri")
    )
)
def test_a_pipeline_job_reads_back_as_sent(emulator, body):
    body["templateUri"] = "https://us-kfp.pkg.dev/not/played/v1"
    body.setdefault("runtimeConfig", {"gcsOutputDirectory": "gs://somewhere/out"})
    created = emulator.call("POST", f"{PARENT}/pipelineJobs", body)
    kept(body, emulator.call("GET", "/v1/" + created["name"]))


@SLOW
@given(
    body=bodies(
        "aiplatform.v1beta1",
        "GoogleCloudAiplatformV1beta1TuningJob",
        without=("baseModel", "preTunedModel", "encryptionSpec", *SPECS),
    ),
    spec=st.sampled_from(SPECS).flatmap(
        lambda name: st.tuples(
            st.just(name),
            bodies(
                "aiplatform.v1beta1",
                SCHEMAS["aiplatform.v1beta1"]["GoogleCloudAiplatformV1beta1TuningJob"]["properties"][name][
                    "$ref"
                ],
                without=("hyperParameters",),
            ),
        )
    ),
)
def test_a_tuning_job_reads_back_as_sent(emulator, body, spec):
    body |= {"baseModel": "gemini-2.5-flash", spec[0]: spec[1]}
    created = emulator.call("POST", f"{PARENT.replace('v1', 'v1beta1', 1)}/tuningJobs", body)
    kept(body, emulator.call("GET", "/v1beta1/" + created["name"]))


@SLOW
@given(
    pool=bodies("aiplatform.v1", "GoogleCloudAiplatformV1WorkerPoolSpec", without=("pythonPackageSpec",)),
    body=bodies("aiplatform.v1", "GoogleCloudAiplatformV1CustomJob", depth=2, without=("jobSpec",)),
)
def test_a_custom_job_reads_back_as_sent(emulator, pool, body):
    pool.setdefault("containerSpec", {"imageUri": "python:3.11"})
    body["jobSpec"] = {"workerPoolSpecs": [pool], "scheduling": {"strategy": "FLEX_START"}}
    body["displayName"] = body.get("displayName") or "x"
    created = emulator.call("POST", f"{PARENT}/customJobs", body)
    kept(body, emulator.call("GET", "/v1/" + created["name"]))


@SLOW
@given(
    body=bodies(
        "storage.v1",
        "Bucket",
        without=(
            *(
                "id",
                "kind",
                "name",
                "location",
                "locationType",
                "projectNumber",
                "selfLink",
                "timeCreated",
                "updated",
            ),
            *("metageneration", "generation", "iamConfiguration"),
        ),
    )
)
def test_a_bucket_reads_back_as_sent(emulator, body):
    body["name"] = f"echo-{uuid.uuid4().hex}"
    emulator.call("POST", "/storage/v1/b", body, project="p9")
    kept(body, emulator.call("GET", f"/storage/v1/b/{body['name']}"))


THRESHOLD = {"filter": "metric.type=x", "comparison": "COMPARISON_GT", "duration": "60s"}
# document, schema, where it is made, how its id is given ("" in the path, "name" in the body, None by the server),
# fields that depend on each other or on other resources, and what those are instead.
KEPT_WHOLE = (
    (
        *(
            "cloudkms.v1",
            "CryptoKey",
            "v1/projects/p9/locations/us-central1/keyRings/echo/cryptoKeys",
            "cryptoKeyId",
        ),
        ("versionTemplate", "rotationPeriod", "nextRotationTime"),
        {"purpose": "ENCRYPT_DECRYPT", "destroyScheduledDuration": "86400s"},
    ),
    (
        *(
            "artifactregistry.v1",
            "Repository",
            "v1/projects/p9/locations/us-central1/repositories",
            "repositoryId",
        ),
        (),
        {"format": "KFP"},
    ),
    (
        *("billingbudgets.v1", "GoogleCloudBillingBudgetsV1Budget", "v1/billingAccounts/0-0-0/budgets", None),
        ("amount", "budgetFilter", "notificationsRule", "thresholdRules"),
        {"amount": {"specifiedAmount": {"units": "5", "nanos": 7}}},
    ),
    (*("pubsub.v1", "Topic", "v1/projects/p9/topics", ""), ("state",), {}),
    (
        *("pubsub.v1", "Subscription", "v1/projects/p9/subscriptions", ""),
        (
            "bigqueryConfig",
            "bigtableConfig",
            "cloudStorageConfig",
            "deadLetterPolicy",
            "filter",
            "messageTransforms",
            "pushConfig",
            "retryPolicy",
        ),
        {
            "topic": "projects/p9/topics/echo",
            "ackDeadlineSeconds": 11,
            "retryPolicy": {"minimumBackoff": "1s", "maximumBackoff": "2s"},
        },
    ),
    (
        *("logging.v2", "LogSink", "v2/projects/p9/sinks", "name"),
        ("bigqueryOptions", "exclusions"),
        {"destination": "storage.googleapis.com/b", "filter": "severity>=ERROR"},
    ),
    (
        *("logging.v2", "LogMetric", "v2/projects/p9/metrics", "name"),
        ("labelExtractors", "metricDescriptor", "valueExtractor"),
        {"filter": "severity>=ERROR", "valueExtractor": "EXTRACT(jsonPayload.loss)"},
    ),
    (
        *("logging.v2", "LogBucket", "v2/projects/p9/locations/global/buckets", "bucketId"),
        (),
        {"retentionDays": 7},
    ),
    (
        *("monitoring.v3", "AlertPolicy", "v3/projects/p9/alertPolicies", None),
        ("creationRecord", "mutationRecord", "notificationChannels", "validity"),
        {"displayName": "x", "combiner": "OR", "conditions": [{"conditionThreshold": THRESHOLD}]},
    ),
    (
        *("monitoring.v3", "NotificationChannel", "v3/projects/p9/notificationChannels", None),
        ("creationRecord", "mutationRecords"),
        {"type": "email", "labels": {"email_address": "me@example.com"}},
    ),
    (
        *("monitoring.v3", "UptimeCheckConfig", "v3/projects/p9/uptimeCheckConfigs", None),
        ("httpCheck", "monitoredResource", "syntheticMonitor"),
        {"displayName": "x", "period": "60s", "tcpCheck": {"port": 1}, "resourceGroup": {"groupId": "g"}},
    ),
    *(
        (
            *("secretmanager.v1", "Secret", f"v1/projects/p9{place}/secrets", "secretId"),
            # Input only: tags, ttl.
            (
                *("annotations", "customerManagedEncryption", "expireTime", "replication", "rotation"),
                *("tags", "topics", "ttl", "versionAliases", "versionDestroyTtl"),
            ),
            {"versionAliases": {"stable": "1"}, "versionDestroyTtl": "86400s", **replication},
        )
        for place, replication in (
            ("", {"replication": {"userManaged": {"replicas": [{"location": "us-east1"}]}}}),
            ("/locations/us-east1", {}),
        )
    ),
    (*("monitoring.v1", "Dashboard", "v1/projects/p9/dashboards", None), (), {"displayName": "x"}),
)


@pytest.mark.parametrize(
    ("document", "schema", "path", "identity", "without", "instead"),
    KEPT_WHOLE,
    ids=[row[1] for row in KEPT_WHOLE],
)
@settings(SLOW, max_examples=10)
@given(data=st.data())
def test_what_is_sent_reads_back(emulator, document, schema, path, identity, without, instead, data):
    body = data.draw(bodies(document, schema, 2, without=("name", *without, *instead))) | instead
    name = f"e-{uuid.uuid4().hex[:12]}"
    if identity == "":
        emulator.http.put("/v1/projects/p9/topics/echo", json={})
        emulator.call("PUT", f"/{path}/{name}", body)
    elif identity is None:
        made = emulator.call("POST", f"/{path}", body)["name"]
        name = made.rpartition("/")[2]
    elif identity == "name":
        emulator.call("POST", f"/{path}", {**body, "name": name})
    else:
        emulator.call("POST", f"/{path}", body, **{identity: name})
    kept(body, emulator.call("GET", f"/{path}/{name}"))


GS = {"outputUriPrefix": "gs://nowhere/out"}
# schema of v1beta1, where it is made (below the location), the parameter of its id, what depends on other things,
# and what that is instead.
VERTEX_KEPT_WHOLE = (
    ("TensorboardExperiment", "{board}/experiments", "tensorboardExperimentId", (), {}),
    ("TensorboardRun", "{board}/experiments/echo/runs", "tensorboardRunId", ("displayName",), {}),
    (
        *("TensorboardTimeSeries", "{board}/experiments/echo/runs/echo/timeSeries", None),
        ("displayName",),
        {"valueType": "SCALAR"},
    ),
    ("Artifact", "metadataStores/echo/artifacts", "artifactId", (), {"schemaTitle": "system.Model"}),
    ("Execution", "metadataStores/echo/executions", "executionId", (), {"schemaTitle": "system.Run"}),
    ("Context", "metadataStores/echo/contexts", "contextId", (), {"schemaTitle": "system.Experiment"}),
    (
        *("BatchPredictionJob", "batchPredictionJobs", None),
        ("endpoint", "instanceConfig", "unmanagedContainerModel", "serviceAccount"),
        {
            "model": "publishers/google/models/text-bison@001",
            "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": ["gs://nowhere/in"]}},
            "outputConfig": {"predictionsFormat": "jsonl", "gcsDestination": GS},
        },
    ),
    (
        *("Dataset", "datasets", None),
        ("savedQueries",),
        {"metadataSchemaUri": "gs://google-cloud-aiplatform/schema/dataset/metadata/text_1.0.0.yaml"},
    ),
    ("EvaluationExperiment", "evaluationExperiments", None, (), {}),
    ("EvaluationMetric", "evaluationMetrics", "evaluationMetricId", ("metric",), {}),
    (
        *("EvaluationItem", "evaluationItems", None),
        ("gcsUri",),
        {"evaluationItemType": "REQUEST", "evaluationRequest": {"prompt": {"text": "x"}}},
    ),
    (
        *("EvaluationRun", "evaluationRuns", None),
        ("evaluationExperiment", "evaluationConfig", "inferenceConfigs", "serviceAccount"),
        {
            "dataSource": {"bigqueryRequestSet": {"uri": "bq://p9.a.b"}},
            "evaluationConfig": {"metrics": [{"metric": "m", "metricConfig": {"exactMatchSpec": {}}}]},
        },
    ),
)


@pytest.fixture(scope="module")
def board(emulator):
    """The name of a Tensorboard with an experiment and a run; beside it a metadata store. All are called echo."""
    parent = PARENT.replace("/v1/", "/v1beta1/")
    emulator.call("POST", f"{parent}/metadataStores", {}, metadataStoreId="echo")
    made = emulator.call("POST", f"{parent}/tensorboards", {"displayName": "echo"})
    path = "/v1beta1/" + made["name"].partition("/operations/")[0]
    emulator.call("POST", f"{path}/experiments", {}, tensorboardExperimentId="echo")
    runs = f"{path}/experiments/echo/runs"
    emulator.call("POST", runs, {"displayName": "echo"}, tensorboardRunId="echo")
    return path.partition("/locations/us-central1/")[2]


@pytest.mark.parametrize(
    ("schema", "path", "identity", "without", "instead"),
    VERTEX_KEPT_WHOLE,
    ids=[row[0] for row in VERTEX_KEPT_WHOLE],
)
@settings(SLOW, max_examples=10)
@given(data=st.data())
def test_what_vertex_is_sent_reads_back(emulator, board, schema, path, identity, without, instead, data):
    schema = f"GoogleCloudAiplatformV1beta1{schema}"
    strategy = bodies("aiplatform.v1beta1", schema, 2, without=("name", *without, *instead))
    body = data.draw(strategy) | instead
    identifier = f"e-{uuid.uuid4().hex[:12]}"
    if "displayName" in SCHEMAS["aiplatform.v1beta1"][schema]["properties"]:
        body["displayName"] = body.get("displayName") or identifier
    path = f"{PARENT.replace('/v1/', '/v1beta1/')}/{path.format(board=board)}"
    made = emulator.call("POST", path, body, **({identity: identifier} if identity else {}))
    name = made["name"].partition("/operations/")[0]
    kept(body, emulator.call("GET", f"/v1beta1/{name}"))


@pytest.mark.parametrize("mask", ["labels", "labels.b", "description,labels"])
def test_a_patch_changes_what_its_mask_names_and_nothing_else(emulator, mask):
    before = {"displayName": "e", "description": "old", "labels": {"a": "1", "b": "2"}}
    operation = emulator.call("POST", f"{PARENT}/endpoints", before)
    path = "/v1/" + operation["name"].partition("/operations/")[0]
    after = emulator.call("PATCH", path, {"description": "new", "labels": {"b": "3"}}, updateMask=mask)
    assert after["displayName"] == "e"
    assert after["description"] == ("new" if "description" in mask else "old")
    assert after["labels"] == ({"a": "1", "b": "3"} if mask == "labels.b" else {"b": "3"})


@settings(SLOW, max_examples=10)
@given(
    body=bodies(
        "bigquery.v2",
        "Dataset",
        without=("datasetReference", "defaultTableExpirationMs", "externalDatasetReference", "location"),
    )
)
def test_a_bigquery_dataset_reads_back_as_sent(emulator, body):
    name = f"echo_{uuid.uuid4().hex}"
    body["datasetReference"] = {"datasetId": name, "projectId": "p9"}
    emulator.call("POST", "/bigquery/v2/projects/p9/datasets", body)
    kept(body, emulator.call("GET", f"/bigquery/v2/projects/p9/datasets/{name}"))


@settings(SLOW, max_examples=10)
@given(
    body=bodies(
        "bigquery.v2",
        "Table",
        without=(
            *("biglakeConfiguration", "expirationTime", "externalDataConfiguration", "materializedView"),
            *("model", "schema", "tableReference", "view"),
        ),
    )
)
def test_a_bigquery_table_reads_back_as_sent(emulator, body):
    dataset, name = "echo_tables", uuid.uuid4().hex
    reference = {"projectId": "p9", "datasetId": dataset}
    if emulator.http.get(f"/bigquery/v2/projects/p9/datasets/{dataset}").status_code == 404:
        emulator.call("POST", "/bigquery/v2/projects/p9/datasets", {"datasetReference": reference})
    body |= {
        "tableReference": {**reference, "tableId": name},
        "schema": {"fields": [{"name": "i", "type": "INTEGER", "mode": "NULLABLE", "description": "one"}]},
    }
    path = f"/bigquery/v2/projects/p9/datasets/{dataset}/tables"
    emulator.call("POST", path, body)
    kept(body, emulator.call("GET", f"{path}/{name}"))
