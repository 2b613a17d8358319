"""The functions (data sources) that programs call, against a real emulator process."""

from __future__ import annotations

import base64
import json

import grpc
import pytest

BUCKET = "gcp:storage/bucket:Bucket"
OBJECT = "gcp:storage/bucketObject:BucketObject"


async def test_a_bucket_and_its_objects_are_read_in_the_shape_of_answers(engine, project):
    rules = [{"action": {"type": "Delete"}, "condition": {"age": 30}}]
    await engine.up(BUCKET, "data", name=f"{project}-data", location="EU", lifecycleRules=rules)
    await engine.up(OBJECT, "rows", bucket=f"{project}-data", name="a/rows.txt", content="héllo")
    found = await engine.invoke("gcp:storage/getBucket:getBucket", name=f"{project}-data")
    assert (found["id"], found["location"], found["url"]) == (f"{project}-data", "EU", f"gs://{project}-data")
    assert found["lifecycleRules"][0]["actions"] == [{"type": "Delete"}]
    assert found["lifecycleRules"][0]["conditions"][0]["age"] == 30
    where = {"bucket": f"{project}-data", "name": "a/rows.txt"}
    content = await engine.invoke("gcp:storage/getBucketObjectContent:getBucketObjectContent", **where)
    assert content["content"] == "héllo"
    assert base64.b64decode(content["contentBase64"]).decode() == "héllo"
    read = await engine.invoke("gcp:storage/getBucketObject:getBucketObject", **where)
    assert read["md5hash"] == engine.state["rows"]["md5hash"]
    with pytest.raises(grpc.aio.AioRpcError) as missing:
        await engine.invoke("gcp:storage/getBucket:getBucket", name=f"{project}-none")
    assert missing.value.code() == grpc.StatusCode.NOT_FOUND


async def test_keys_accounts_topics_and_repositories_are_read_by_what_names_them(engine, project):
    place = {"location": "europe-west4"}
    await engine.up("gcp:kms/keyRing:KeyRing", "ring", name="ring", **place)
    ring = engine.state["ring"].id
    await engine.up("gcp:kms/cryptoKey:CryptoKey", "key", name="key", keyRing=ring, rotationPeriod="7776000s")
    await engine.up("gcp:pubsub/topic:Topic", "topic", name="events", labels={"a": "b"})
    await engine.up("gcp:serviceaccount/account:Account", "runner", accountId="runner-one")
    found = await engine.invoke("gcp:kms/getKMSKeyRing:getKMSKeyRing", name="ring", **place)
    assert found["id"] == ring
    found = await engine.invoke("gcp:kms/getKMSCryptoKey:getKMSCryptoKey", name="key", keyRing=ring)
    assert (found["id"], found["rotationPeriod"]) == (engine.state["key"].id, "7776000s")
    assert found["primaries"][0]["state"] == "ENABLED"
    found = await engine.invoke("gcp:pubsub/getTopic:getTopic", name="events")
    assert found["effectiveLabels"]["a"] == "b"
    found = await engine.invoke("gcp:serviceaccount/getAccount:getAccount", accountId="runner-one")
    assert found["member"] == engine.state["runner"]["member"]


async def test_a_secret_is_read_by_version_and_as_the_latest(engine, project):
    made = {"secretId": "token", "replication": {"auto": {}}}
    await engine.up("gcp:secretmanager/secret:Secret", "token", **made)
    secret = engine.state["token"].id
    for data in ("hf_one", "hf_two"):
        await engine.up("gcp:secretmanager/secretVersion:SecretVersion", data, secret=secret, secretData=data)
    version, access = (
        f"gcp:secretmanager/{name}:{name}" for name in ("getSecretVersion", "getSecretVersionAccess")
    )
    found = await engine.invoke(access, secret="token")
    assert (found["secretData"], found["version"]) == ("hf_two", "2")
    found = await engine.invoke(access, secret=secret, version="1", isSecretDataBase64=True)
    assert base64.b64decode(found["secretData"]) == b"hf_one"
    found = await engine.invoke(version, secret="token", version="1", fetchSecretData=False)
    assert (found["enabled"], found.get("secretData")) == (True, None)
    found = await engine.invoke("gcp:secretmanager/getSecret:getSecret", secretId="token")
    assert (found["id"], found["replications"][0]["autos"]) == (secret, [{"customerManagedEncryptions": []}])


async def test_a_policy_is_written_down_for_the_types_that_set_one(engine, project):
    bindings = [{"role": "roles/viewer", "members": ["user:b@x.org", "user:a@x.org"]}]
    found = await engine.invoke("gcp:organizations/getIAMPolicy:getIAMPolicy", bindings=bindings)
    assert json.loads(found["policyData"])["bindings"][0]["members"] == ["user:a@x.org", "user:b@x.org"]
    inputs = {"project": project, "policyData": found["policyData"]}
    await engine.up("gcp:projects/iAMPolicy:IAMPolicy", "policy", **inputs)
    assert await engine.refresh("policy") == {}


async def test_quotas_are_read_one_and_all(engine, project):
    where = {"parent": f"projects/{project}", "service": "aiplatform.googleapis.com"}
    tuning = {"quotaId": "GlobalConcurrentTuningJobsPerProject"}
    one = await engine.invoke("gcp:cloudquota/getSQuotaInfo:getSQuotaInfo", **where, **tuning)
    assert one["dimensionsInfos"][0]["details"] == [{"value": "1"}]
    every = await engine.invoke("gcp:cloudquota/getSQuotaInfos:getSQuotaInfos", **where)
    assert one["quotaId"] in {each["quotaId"] for each in every["quotaInfos"]}


async def test_the_storage_services_agent_is_known(engine, project):
    found = await engine.invoke("gcp:storage/getProjectServiceAccount:getProjectServiceAccount")
    assert found["member"] == f"serviceAccount:{found['emailAddress']}"
    project_found = await engine.invoke("gcp:organizations/getProject:getProject")
    assert project_found["projectId"] == project
