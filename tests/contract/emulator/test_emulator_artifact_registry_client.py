"""google-cloud-artifact-registry, unchanged, over REST; uploads by google-api-python-client, which alone has them."""

from __future__ import annotations

import copy
import io
import json
import uuid
from importlib.resources import files

import pytest
import yaml
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import artifactregistry_v1
from google.protobuf import field_mask_pb2
from googleapiclient import discovery, errors
from googleapiclient.http import MediaIoBaseUpload

PARENT = "projects/p1/locations/us-central1"
Format = artifactregistry_v1.Repository.Format
TEMPLATE = {"pipelineInfo": {"name": "tune-it"}, "schemaVersion": "2.1.0", "root": {"dag": {"tasks": {}}}}


@pytest.fixture(scope="module")
def registry(emulator):
    return emulator.google(artifactregistry_v1.ArtifactRegistryClient)


@pytest.fixture(scope="module")
def uploads(emulator):
    """The upload address follows from the document's root, not from the client's options."""
    text = files("googleapiclient.discovery_cache").joinpath("documents/artifactregistry.v1.json").read_text()
    document = {**json.loads(text), "rootUrl": emulator.url + "/", "baseUrl": emulator.url + "/"}
    service = discovery.build_from_document(copy.deepcopy(document), credentials=AnonymousCredentials())
    return service.projects().locations().repositories()


def repository(registry, kind, **fields):
    return registry.create_repository(
        parent=PARENT,
        repository_id=f"r-{uuid.uuid4().hex[:8]}",
        repository=artifactregistry_v1.Repository(format_=kind, **fields),
    ).result()


def upload(collection, parent, content, **body):
    method = collection.upload(
        parent=parent,
        body=body,
        media_body=MediaIoBaseUpload(io.BytesIO(content), "application/octet-stream"),
    )
    return method.execute()["operation"]


@pytest.mark.parametrize("kind", [Format.DOCKER, Format.PYTHON, Format.GENERIC, Format.KFP])
def test_a_repository_of_each_format_is_made_changed_and_removed(registry, kind):
    made = repository(registry, kind, labels={"a": "b"})
    assert made.format_ is kind
    assert made.registry_uri == f"us-central1-{kind.name.lower()}.pkg.dev/p1/{made.name.rpartition('/')[2]}"
    made.description = "templates"
    mask = field_mask_pb2.FieldMask(paths=["description"])
    changed = registry.update_repository(repository=made, update_mask=mask)
    assert registry.get_repository(name=made.name) == changed
    assert (changed.description, dict(changed.labels)) == ("templates", {"a": "b"})
    assert made.name in [found.name for found in registry.list_repositories(parent=PARENT)]
    registry.delete_repository(name=made.name).result()
    with pytest.raises(exceptions.NotFound, match="Repository"):
        registry.get_repository(name=made.name)


def test_an_operation_that_takes_a_while_is_waited_for(emulator, registry):
    emulator.call("POST", "/_local/settings", {"operationPolls": 1})
    try:
        operation = registry.create_repository(
            parent=PARENT,
            repository_id=f"r-{uuid.uuid4().hex[:8]}",
            repository=artifactregistry_v1.Repository(format_=Format.KFP),
        )
        assert not operation.operation.done
        assert operation.result(timeout=60).format_ is Format.KFP
    finally:
        emulator.call("POST", "/_local/settings", {"operationPolls": 0})


def test_what_google_forbids_of_a_repository_is_refused(registry):
    made = repository(registry, Format.KFP)
    other = artifactregistry_v1.Repository(name=made.name, format_=Format.DOCKER)
    with pytest.raises(exceptions.BadRequest, match="format is immutable"):
        registry.update_repository(
            repository=other, update_mask=field_mask_pb2.FieldMask(paths=["format_"[:-1]])
        )
    with pytest.raises(exceptions.Conflict, match="already exists"):
        registry.create_repository(parent=PARENT, repository_id=made.name.rpartition("/")[2], repository=made)
    with pytest.raises(exceptions.BadRequest, match="format"):
        repository(registry, Format.FORMAT_UNSPECIFIED)


def test_a_policy_of_a_repository_reads_back(registry):
    name = repository(registry, Format.DOCKER).name
    policy = registry.get_iam_policy(request={"resource": name})
    policy.bindings.add(role="roles/artifactregistry.reader", members=["allUsers"])
    written = registry.set_iam_policy(request={"resource": name, "policy": policy})
    assert registry.get_iam_policy(request={"resource": name}) == written


def test_a_pipeline_template_is_held_by_digest_and_tag_and_comes_back_as_it_was(registry, uploads):
    held = repository(registry, Format.KFP).name
    first = yaml.safe_dump(TEMPLATE).encode()
    second = yaml.safe_dump({**TEMPLATE, "schemaVersion": "2.1.1"}).encode()
    one = upload(uploads.kfpArtifacts(), held, first, tags=["v1", "latest"], description="the first")
    two = upload(uploads.kfpArtifacts(), held, second, tags=["latest"])
    versions = [operation["response"]["name"] for operation in (one, two)]
    package = f"{held}/packages/tune-it"
    assert [found.name for found in registry.list_packages(parent=held)] == [package]
    assert [found.name for found in registry.list_versions(parent=package)] == versions
    tags = {tag.name.rpartition("/")[2]: tag.version for tag in registry.list_tags(parent=package)}
    assert tags == {"v1": versions[0], "latest": versions[1]}
    full = registry.get_version(request={"name": versions[0], "view": artifactregistry_v1.VersionView.FULL})
    assert (full.description, [tag.version for tag in full.related_tags]) == ("the first", [versions[0]])
    for version, content in zip(versions, (first, second), strict=True):
        held_files = registry.list_files(request={"parent": held, "filter": f'owner="{version}"'})
        (file,) = held_files
        assert uploads.files().download_media(name=file.name).execute() == content
    with pytest.raises(exceptions.BadRequest, match="has the tags v1"):
        registry.delete_version(name=versions[0])
    registry.delete_version(request={"name": versions[0], "force": True}).result()
    assert [tag.name.rpartition("/")[2] for tag in registry.list_tags(parent=package)] == ["latest"]
    assert len(list(registry.list_files(parent=held))) == 1


def test_a_pipeline_job_takes_the_template_that_is_held(emulator, registry, uploads):
    held = repository(registry, Format.KFP).name
    operation = upload(uploads.kfpArtifacts(), held, yaml.safe_dump(TEMPLATE).encode(), tags=["v1"])
    address = f"https://us-central1-kfp.pkg.dev/p1/{held.rpartition('/')[2]}/tune-it"
    body = {"runtimeConfig": {"gcsOutputDirectory": "gs://a/b"}}
    job = emulator.call("POST", f"/v1/{PARENT}/pipelineJobs", {**body, "templateUri": f"{address}/v1"})
    assert job["templateMetadata"]["version"] == operation["response"]["name"].rpartition("/")[2]
    assert job["pipelineSpec"] == TEMPLATE
    absent = emulator.http.post(f"/v1/{PARENT}/pipelineJobs", json={**body, "templateUri": f"{address}/v2"})
    assert absent.status_code == 400
    assert "Failed to fetch template" in absent.json()["error"]["message"]


def test_a_generic_file_is_uploaded_once(registry, uploads):
    held = repository(registry, Format.GENERIC).name
    sent = {"packageId": "adapter", "versionId": "1.0", "filename": "adapter.bin"}
    upload(uploads.genericArtifacts(), held, b"weights" * 1000, **sent)
    with pytest.raises(errors.HttpError) as again:
        upload(uploads.genericArtifacts(), held, b"others", **sent)
    assert again.value.status_code == 409
    with pytest.raises(errors.HttpError, match="Invalid version_id 'latest'"):
        upload(uploads.genericArtifacts(), held, b"x", **{**sent, "versionId": "latest"})
    (file,) = registry.list_files(parent=held)
    assert file.size_bytes == 7000
    assert uploads.files().download_media(name=file.name).execute() == b"weights" * 1000
    assert registry.get_repository(name=held).size_bytes == 7000
    registry.delete_package(name=f"{held}/packages/adapter").result()
    assert not list(registry.list_files(parent=held))


def test_a_tag_moves_only_to_a_version_of_its_package(registry, uploads):
    held = repository(registry, Format.GENERIC).name
    for version in ("1", "2"):
        upload(uploads.genericArtifacts(), held, b"x", packageId="a", versionId=version, filename="f")
    package = f"{held}/packages/a"
    tag = artifactregistry_v1.Tag(version=f"{package}/versions/1")
    made = registry.create_tag(request={"parent": package, "tag_id": "stable", "tag": tag})
    made.version = f"{package}/versions/2"
    mask = field_mask_pb2.FieldMask(paths=["version"])
    assert registry.update_tag(tag=made, update_mask=mask).version == f"{package}/versions/2"
    made.version = f"{held}/packages/b/versions/2"
    with pytest.raises(exceptions.BadRequest, match="is not a version of"):
        registry.update_tag(tag=made, update_mask=mask)
    registry.delete_tag(name=made.name)
    assert not list(registry.list_tags(parent=package))
