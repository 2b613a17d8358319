"""Managed folders by google-api-python-client, and what their policies let google-cloud-storage do."""

from __future__ import annotations

import uuid

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.oauth2.credentials import Credentials
from googleapiclient import discovery, errors

from tunestack.emulator.environment import token_of

INTERN = "intern@p1.iam.gserviceaccount.com"


def folders_of(local):
    return discovery.build(
        "storage",
        "v1",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": f"{local.url}/storage/v1/"},
        static_discovery=True,
    ).managedFolders()


def uniform(local):
    bucket = local.storage().bucket(f"bucket-{uuid.uuid4().hex[:12]}")
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    return local.storage().create_bucket(bucket)


def test_a_folder_is_made_listed_and_removed(emulator):
    folders, bucket = folders_of(emulator), uniform(emulator).name
    for name in ("data/", "data/raw/", "models/"):
        made = folders.insert(bucket=bucket, body={"name": name}).execute()
        assert folders.get(bucket=bucket, managedFolder=name).execute() == made
    assert made["id"] == f"{bucket}/models/"
    found = folders.list(bucket=bucket, prefix="data/").execute()["items"]
    assert [row["name"] for row in found] == ["data/", "data/raw/"]
    with pytest.raises(errors.HttpError, match="not empty"):
        folders.delete(bucket=bucket, managedFolder="data/").execute()
    folders.delete(bucket=bucket, managedFolder="data/", allowNonEmpty=True).execute()
    with pytest.raises(errors.HttpError, match="does not exist"):
        folders.get(bucket=bucket, managedFolder="data/").execute()
    for name, words in (("models/", "already exists"), ("models", "must end with a slash")):
        with pytest.raises(errors.HttpError, match=words):
            folders.insert(bucket=bucket, body={"name": name}).execute()
    with pytest.raises(errors.HttpError, match="uniform bucket-level access"):
        folders.insert(bucket=emulator.bucket().name, body={"name": "x/"}).execute()


def test_a_folders_policy_opens_what_lies_in_it_and_nothing_else(start):
    local = start(enforce_iam=True)
    folders, bucket = folders_of(local), uniform(local)
    for name in ("data/a.jsonl", "other.jsonl"):
        bucket.blob(name).upload_from_string("x")
    folders.insert(bucket=bucket.name, body={"name": "data/"}).execute()
    policy = folders.getIamPolicy(bucket=bucket.name, managedFolder="data/").execute()
    binding = {"role": "roles/storage.objectUser", "members": [f"serviceAccount:{INTERN}"]}
    changed = {**policy, "bindings": [binding]}
    folders.setIamPolicy(bucket=bucket.name, managedFolder="data/", body=changed).execute()
    with pytest.raises(errors.HttpError, match="pre-conditions"):
        folders.setIamPolicy(bucket=bucket.name, managedFolder="data/", body=changed).execute()
    intern = storage.Client(
        project="p1",
        credentials=Credentials(token=token_of(INTERN)),
        client_options={"api_endpoint": local.url},
    ).bucket(bucket.name)
    assert intern.blob("data/a.jsonl").download_as_bytes() == b"x"
    intern.blob("data/b.jsonl").upload_from_string("y")
    assert {blob.name for blob in intern.list_blobs(prefix="data/")} == {"data/a.jsonl", "data/b.jsonl"}
    for call in (
        lambda: intern.blob("other.jsonl").download_as_bytes(),
        lambda: list(intern.list_blobs()),
        lambda: intern.blob("c.jsonl").upload_from_string("z"),
    ):
        with pytest.raises(exceptions.Forbidden):
            call()
    folders.delete(bucket=bucket.name, managedFolder="data/", allowNonEmpty=True).execute()
    with pytest.raises(exceptions.Forbidden):
        intern.blob("data/a.jsonl").download_as_bytes()
