"""Signed URLs that google-cloud-storage makes with an account's key, used by whoever has them."""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.oauth2 import service_account

SIGNER = "signer@p1.iam.gserviceaccount.com"


@pytest.fixture
def local(start):
    return start(enforce_iam=True)


def key_of(local, account="signer"):
    local.http.post("/v1/projects/p1/serviceAccounts", json={"accountId": account, "serviceAccount": {}})
    path = f"/v1/projects/p1/serviceAccounts/{account}@p1.iam.gserviceaccount.com/keys"
    made = local.call("POST", path, {})
    info = json.loads(base64.b64decode(made["privateKeyData"]))
    return made["name"], service_account.Credentials.from_service_account_info(info)


def granted(local, role, email=SIGNER):
    bucket = local.bucket()
    policy = bucket.get_iam_policy()
    policy.bindings.append({"role": role, "members": {f"serviceAccount:{email}"}})
    bucket.set_iam_policy(policy)
    return bucket


def signed(local, bucket, name, credentials, **options):
    client = storage.Client(
        project="p1", credentials=AnonymousCredentials(), client_options={"api_endpoint": local.url}
    )
    blob = client.bucket(bucket.name).blob(name)
    options = {"expiration": timedelta(minutes=5), **options}
    return blob.generate_signed_url(
        version="v4", credentials=credentials, api_access_endpoint=local.url, **options
    )


def test_an_object_is_read_written_and_deleted_by_whoever_has_the_url(local):
    _, credentials = key_of(local)
    bucket = granted(local, "roles/storage.objectAdmin")
    name = "a folder/ä+b.txt"
    put = signed(local, bucket, name, credentials, method="PUT", content_type="text/plain")
    answer = httpx.put(put, content=b"hello", headers={"content-type": "text/plain"})
    assert answer.status_code == 200
    assert bucket.blob(name).download_as_bytes() == b"hello"
    assert bucket.get_blob(name).content_type == "text/plain"
    get = signed(local, bucket, name, credentials, response_disposition="attachment", response_type="text/x")
    answer = httpx.get(get, headers={"range": "bytes=1-2"})
    assert (answer.status_code, answer.content) == (206, b"el")
    assert (answer.headers["content-disposition"], answer.headers["content-type"]) == ("attachment", "text/x")
    head = httpx.head(signed(local, bucket, name, credentials, method="HEAD"))
    assert (head.status_code, head.headers["content-length"]) == (200, "5")
    assert httpx.delete(signed(local, bucket, name, credentials, method="DELETE")).status_code == 204
    answer = httpx.get(get)
    assert answer.status_code == 404
    assert "<Code>NoSuchKey</Code>" in answer.text
    (entry,) = local.requests("storage.xml.delete")
    assert entry["principal"] == SIGNER


def test_a_url_is_good_for_what_was_signed_and_nothing_else(local):
    _, credentials = key_of(local)
    bucket = granted(local, "roles/storage.objectAdmin")
    bucket.blob("a").upload_from_string("a")
    bucket.blob("b").upload_from_string("b")
    get = signed(local, bucket, "a", credentials)
    assert httpx.get(get).text == "a"
    wrong = (
        httpx.get(get.replace("/a?", "/b?")),
        httpx.delete(get),
        httpx.get(get + "&generation=1"),
        httpx.get(get.replace("X-Goog-Expires=300", "X-Goog-Expires=301")),
    )
    for answer in wrong:
        assert answer.status_code == 403
        assert "<Code>SignatureDoesNotMatch</Code>" in answer.text
        assert "<StringToSign>GOOG4-RSA-SHA256\n" in answer.text
    answer = httpx.get(get, headers={"x-goog-meta-more": "1"})
    assert answer.status_code == 400
    assert "<Code>MalformedSecurityHeader</Code>" in answer.text


def test_a_url_ends_with_its_time_and_with_its_key(local):
    name, credentials = key_of(local)
    bucket = granted(local, "roles/storage.objectViewer")
    bucket.blob("a").upload_from_string("a")
    short, long = (
        signed(local, bucket, "a", credentials, expiration=timedelta(minutes=minutes)) for minutes in (5, 60)
    )
    local.call("POST", "/_local/clock", {"advanceSeconds": 301})
    answer = httpx.get(short)
    assert answer.status_code == 400
    assert "<Code>ExpiredToken</Code>" in answer.text
    assert httpx.get(long).text == "a"
    local.call("POST", f"/v1/{name}:disable", {})
    assert httpx.get(long).status_code == 403


def test_a_url_can_do_only_what_its_signer_may(local):
    _, credentials = key_of(local)
    bucket = granted(local, "roles/storage.objectViewer")
    answer = httpx.put(signed(local, bucket, "a", credentials, method="PUT"), content=b"x")
    assert answer.status_code == 403
    assert "<Code>AccessDenied</Code>" in answer.text
    assert f"{SIGNER} does not have storage.objects.create access" in answer.text
    _, other = key_of(local, "another")
    forged = service_account.Credentials(other.signer, SIGNER, other._token_uri)
    bucket.blob("a").upload_from_string("a")
    assert httpx.get(signed(local, bucket, "a", forged)).status_code == 403


def test_the_local_credentials_sign_too(local):
    path = local.options.data / "credentials.json"
    credentials = service_account.Credentials.from_service_account_file(path)
    bucket = local.bucket()
    bucket.blob("a").upload_from_string("a")
    url = signed(local, bucket, "a", credentials)
    assert httpx.get(url).text == "a"
    assert urlsplit(url).path == f"/{bucket.name}/a"


def test_what_the_xml_api_has_besides_answers_501(local):
    _, credentials = key_of(local)
    bucket = granted(local, "roles/storage.objectAdmin")
    answer = httpx.post(
        signed(local, bucket, "a", credentials, method="RESUMABLE"), headers={"x-goog-resumable": "start"}
    )
    assert answer.status_code == 501
    assert "not implemented by the tunestack emulator" in answer.text
    answer = httpx.get(f"{local.url}/{bucket.name}/a?GoogleAccessId=x&Expires=1&Signature=y")
    assert answer.status_code == 501
    assert "version 4 alone" in answer.text
