"""Managed datasets with Google's own clients: kept, versioned, filled from buckets and written back."""

from __future__ import annotations

import json

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform, aiplatform_v1
from google.cloud.aiplatform_v1 import types
from google.protobuf import struct_pb2

PARENT = "projects/p28/locations/us-central1"
SCHEMA = "gs://google-cloud-aiplatform/schema/dataset/metadata/text_1.0.0.yaml"
FORMAT = aiplatform.schema.dataset.ioformat.text.single_label_classification
LINES = [
    {
        "textContent": "so funny",
        "classificationAnnotation": {"displayName": "sarcastic"},
        "dataItemResourceLabels": {"aiplatform.googleapis.com/ml_use": "training"},
    },
    {"textContent": "so sad", "classificationAnnotation": {"displayName": "plain"}},
    {"textContent": "so funny", "classificationAnnotation": {"displayName": "sarcastic"}},
]


@pytest.fixture(scope="module")
def datasets(emulator):
    return emulator.google(aiplatform_v1.DatasetServiceClient)


@pytest.fixture
def bucket(emulator):
    bucket = emulator.bucket()
    bucket.blob("in.jsonl").upload_from_string("\n".join(map(json.dumps, LINES)))
    return bucket


def create(datasets, **fields):
    dataset = types.Dataset(
        display_name="mine", metadata_schema_uri=SCHEMA, metadata=struct_pb2.Value(string_value="x"), **fields
    )
    return datasets.create_dataset(parent=PARENT, dataset=dataset).result()


def test_a_dataset_is_made_changed_listed_and_removed_with_its_artifact(emulator, datasets):
    dataset = create(datasets, labels={"a": "b"})
    metadata = emulator.google(aiplatform_v1.MetadataServiceClient)
    artifact = metadata.get_artifact(name=dataset.metadata_artifact)
    assert artifact.schema_title == "google.VertexDataset"
    assert artifact.metadata["resourceName"] == dataset.name
    dataset.display_name = "other"
    changed = datasets.update_dataset(dataset=dataset, update_mask={"paths": ["display_name"]})
    assert (changed.display_name, dict(changed.labels)) == ("other", {"a": "b"})
    request = {"parent": PARENT, "filter": 'display_name="other"'}
    assert [row.name for row in datasets.list_datasets(request=request)] == [dataset.name]
    datasets.delete_dataset(name=dataset.name).result()
    for gone in (
        lambda: datasets.get_dataset(name=dataset.name),
        lambda: metadata.get_artifact(name=artifact.name),
    ):
        with pytest.raises(exceptions.NotFound):
            gone()


def test_versions_keep_what_a_dataset_was(datasets):
    dataset = create(datasets)
    version = datasets.create_dataset_version(
        parent=dataset.name, dataset_version=types.DatasetVersion(display_name="first")
    ).result()
    assert datasets.get_dataset_version(name=version.name).metadata == dataset.metadata
    version.display_name = "renamed"
    datasets.update_dataset_version(dataset_version=version, update_mask={"paths": ["display_name"]})
    assert [row.display_name for row in datasets.list_dataset_versions(parent=dataset.name)] == ["renamed"]
    assert datasets.restore_dataset_version(name=version.name).result().name == version.name
    datasets.delete_dataset_version(name=version.name).result()
    with pytest.raises(exceptions.NotFound):
        datasets.get_dataset_version(name=version.name)


def test_texts_are_imported_by_the_high_level_class_and_exported_as_they_came(emulator, datasets, bucket):
    aiplatform.init(
        project="p28",
        location="us-central1",
        api_endpoint=emulator.url,
        api_transport="rest",
        credentials=AnonymousCredentials(),
    )
    dataset = aiplatform.TextDataset.create(
        display_name="texts", gcs_source=f"gs://{bucket.name}/in.jsonl", import_schema_uri=FORMAT
    )
    items = {
        row.payload["textContent"]: row for row in datasets.list_data_items(parent=dataset.resource_name)
    }
    assert set(items) == {"so funny", "so sad"}
    assert items["so funny"].labels["aiplatform.googleapis.com/ml_use"] == "training"
    found = datasets.list_annotations(parent=items["so sad"].name)
    assert [row.payload["displayName"] for row in found] == ["plain"]
    assert emulator.call("GET", f"/v1/{dataset.resource_name}")["dataItemCount"] == "2"
    [uri] = dataset.export_data(output_dir=f"gs://{bucket.name}/out")
    assert "/export-data-texts-" in uri
    text = bucket.blob(uri.removeprefix(f"gs://{bucket.name}/")).download_as_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert sorted(lines, key=json.dumps) == sorted(LINES, key=json.dumps)


def test_a_table_names_its_columns(emulator, bucket, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator.url)
    aiplatform.init(
        project="p28",
        location="us-central1",
        api_endpoint=emulator.url,
        api_transport="rest",
        credentials=AnonymousCredentials(),
    )
    bucket.blob("table.csv").upload_from_string("one,two\n1,2\n")
    dataset = aiplatform.TabularDataset.create(display_name="t", gcs_source=f"gs://{bucket.name}/table.csv")
    assert set(dataset.column_names) == {"one", "two"}


@pytest.mark.parametrize(
    ("schema", "uri", "kind", "words"),
    [
        (FORMAT, "gs://{}/none.jsonl", exceptions.NotFound, "none.jsonl"),
        (FORMAT, "gs://{}/bad.jsonl", exceptions.BadRequest, "bad.jsonl:2: exactly one of"),
        (
            aiplatform.schema.dataset.ioformat.image.bounding_box,
            "gs://{}/in.jsonl",
            exceptions.ServerError,
            "imports text alone",
        ),
    ],
)
def test_an_import_that_cannot_be_is_refused_whole(datasets, bucket, schema, uri, kind, words):
    bucket.blob("bad.jsonl").upload_from_string('{"textContent": "x"}\n{"text": "y"}\n')
    dataset = create(datasets)
    config = types.ImportDataConfig(
        gcs_source=types.GcsSource(uris=[uri.format(bucket.name)]), import_schema_uri=schema
    )
    with pytest.raises(kind, match=words):
        datasets.import_data(name=dataset.name, import_configs=[config])
    assert not list(datasets.list_data_items(parent=dataset.name))


def test_what_is_no_dataset_is_refused(emulator):
    body = {"displayName": "x" * 129, "metadataSchemaUri": SCHEMA, "metadata": {}}
    answer = emulator.http.post(f"/v1/{PARENT}/datasets", json=body)
    assert "more than 128" in answer.text
    body |= {"displayName": "x", "metadataSchemaUri": "text"}
    answer = emulator.http.post(f"/v1/{PARENT}/datasets", json=body)
    assert "is no schema" in answer.text
