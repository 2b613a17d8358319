"""State files of earlier versions are taken over whole; the files' SQL is frozen here, not read from the program."""

from __future__ import annotations

import hashlib
import json
import sqlite3

import pytest

from tunestack.emulator import database, process
from tunestack.emulator.database import SCHEMA_VERSION, Database

# As version 1 wrote it (0.1, the first emulator): no submissions, a model's row is its only version.
VERSION_1 = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE resource (
    name TEXT PRIMARY KEY,
    collection TEXT NOT NULL,
    parent TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    body BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX resource_of_parent ON resource (collection, parent, sequence);
CREATE TABLE policy (resource TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE object (
    bucket TEXT NOT NULL,
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    live INTEGER NOT NULL,
    digest TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (bucket, name, generation)
) WITHOUT ROWID;
CREATE UNIQUE INDEX live_object ON object (bucket, name) WHERE live;
CREATE INDEX object_of_digest ON object (digest);
CREATE TABLE upload (id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE job (name TEXT PRIMARY KEY, sequence INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE request (
    sequence INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    body BLOB NOT NULL
);
"""
# What version 2 added.
VERSION_2 = """
CREATE TABLE submission (
    sequence INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    name TEXT NOT NULL,
    display_name TEXT NOT NULL,
    labels BLOB NOT NULL
);
"""
NUMBER = "523494588658"  # of the project tunestack-local
PARENT = f"projects/{NUMBER}/locations/us-central1"
TIME = "2026-06-01T12:00:00.000000Z"
CONTENT = b"kept since version 1"


def rows():
    """(name, collection, parent, body) as version 1 kept them."""
    stamps = {"createTime": TIME, "updateTime": TIME}
    bucket = {
        "name": "old-bucket",
        "projectNumber": NUMBER,
        "location": "US",
        "locationType": "multi-region",
        "storageClass": "STANDARD",
        "generation": "1",
        "metageneration": "1",
        "timeCreated": TIME,
        "updated": TIME,
        "iamConfiguration": {
            "publicAccessPrevention": "inherited",
            "uniformBucketLevelAccess": {"enabled": False},
            "bucketPolicyOnly": {"enabled": False},
        },
    }
    model = {
        "name": f"{PARENT}/models/77",
        "displayName": "old model",
        "labels": {"team": "a"},
        "versionId": "1",
        "versionAliases": ["default"],
        "versionCreateTime": TIME,
        "versionUpdateTime": TIME,
        "etag": "e",
        **stamps,
    }
    job = {
        "name": f"{PARENT}/pipelineJobs/old-job",
        "displayName": "old job",
        "state": "PIPELINE_STATE_SUCCEEDED",
        "runtimeConfig": {"gcsOutputDirectory": "gs://old-bucket/out", "parameterValues": {}},
        "endTime": TIME,
        **stamps,
    }
    endpoint = {"name": f"{PARENT}/endpoints/5", "displayName": "old endpoint", "etag": "e", **stamps}
    yield "buckets/old-bucket", "buckets", NUMBER, bucket
    for collection, body in (("models", model), ("pipelineJobs", job), ("endpoints", endpoint)):
        yield body["name"], collection, PARENT, body


def written_by(version, folder):
    """A data folder as that version left it."""
    folder.mkdir()
    digest = hashlib.sha256(CONTENT).hexdigest()
    (folder / "objects" / digest[:2]).mkdir(parents=True)
    (folder / "objects" / digest[:2] / digest).write_bytes(CONTENT)
    held = {
        "name": "old.txt",
        "bucket": "old-bucket",
        "generation": "7",
        "metageneration": "1",
        "contentType": "text/plain",
        "storageClass": "STANDARD",
        "size": str(len(CONTENT)),
        "crc32c": "AAAAAA==",
        "timeCreated": TIME,
        "updated": TIME,
    }
    policy = {
        "version": 1,
        "bindings": [{"role": "roles/storage.objectViewer", "members": ["user:a@b.c"]}],
        "revision": 1,
    }
    with sqlite3.connect(folder / "state.db") as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(VERSION_1 + (VERSION_2 if version > 1 else ""))
        connection.execute(f"PRAGMA user_version = {version}")
        connection.executemany(
            "INSERT INTO meta VALUES (?, ?)",
            [
                (f"project/{NUMBER}", "tunestack-local"),
                ("sequence", "4"),
                ("generation", "7"),
                ("policy", "1"),
            ],
        )
        for number, (name, collection, parent, body) in enumerate(rows(), start=1):
            connection.execute(
                "INSERT INTO resource VALUES (?, ?, ?, ?, ?)",
                (name, collection, parent, number, json.dumps(body).encode()),
            )
        connection.execute(
            "INSERT INTO object VALUES ('old-bucket', 'old.txt', 7, 1, ?, ?)",
            (digest, json.dumps(held).encode()),
        )
        connection.execute(
            "INSERT INTO policy VALUES ('buckets/old-bucket', ?)", (json.dumps(policy).encode(),)
        )
        connection.execute("INSERT INTO job VALUES (?, 1, ?)", (f"{PARENT}/pipelineJobs/old-job", b"{}"))
        if version > 1:
            connection.execute(
                "INSERT INTO submission VALUES (1, ?, ?, 'old job', ?)",
                (TIME, f"{PARENT}/pipelineJobs/old-job", b'{"tunestack-spec-hash":"abc"}'),
            )
    connection.close()


@pytest.mark.parametrize("version", [1, 2])
def test_what_an_earlier_version_held_is_all_there(start, tmp_path, version):
    written_by(version, tmp_path / "data")
    emulator = start()
    assert database.schema_version(tmp_path / "data" / "state.db") == SCHEMA_VERSION > version
    assert emulator.storage().bucket("old-bucket").blob("old.txt").download_as_bytes(checksum=None) == CONTENT
    policy = emulator.call("GET", "/storage/v1/b/old-bucket/iam")
    assert policy["bindings"][0]["members"] == ["user:a@b.c"]
    assert emulator.call("GET", f"/v1/{PARENT}/pipelineJobs/old-job")["displayName"] == "old job"
    assert emulator.call("GET", f"/v1/{PARENT}/endpoints/5")["displayName"] == "old endpoint"
    submissions = emulator.call("GET", "/_local/submissions")
    assert submissions["bySpecHash"] == ({"abc": 1} if version > 1 else {})
    # The only model is its own first version, and the next takes its place beside it.
    (model,) = emulator.call("GET", f"/v1/{PARENT}/models")["models"]
    assert (model["displayName"], model["labels"]) == ("old model", {"team": "a"})
    added = {"model": {"displayName": "old model"}, "parentModel": model["name"]}
    emulator.call("POST", f"/v1/{PARENT}/models:upload", added)
    versions = emulator.call("GET", f"/v1/{model['name']}:listVersions")["models"]
    assert sorted(row["versionId"] for row in versions) == ["1", "2"]
    # What is made now goes on from the old numbers.
    fresh = emulator.storage().bucket("old-bucket").blob("new.txt")
    fresh.upload_from_string("new")
    assert fresh.generation > 7
    emulator.kill()
    emulator.start_again()
    assert len(emulator.call("GET", f"/v1/{model['name']}:listVersions")["models"]) == 2


def test_a_migration_that_fails_changes_nothing(tmp_path, monkeypatch):
    """The statements of all versions are one transaction: a kill or an error on the way leaves the old file."""
    written_by(1, tmp_path / "data")
    path = tmp_path / "data" / "state.db"
    monkeypatch.setattr(
        database, "VERSIONS", (*database.VERSIONS[:3], "CREATE TABLE half (x);\nCREATE NONSENSE;\n")
    )
    monkeypatch.setattr(database, "SCHEMA_VERSION", 4)
    with pytest.raises(sqlite3.OperationalError):
        Database(path)
    assert database.schema_version(path) == 1
    connection = sqlite3.connect(path)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert not tables & {"submission", "half"}
    assert connection.execute("SELECT count(*) FROM resource").fetchone() == (4,)
    connection.close()
    monkeypatch.undo()
    Database(path).close()
    assert database.schema_version(path) == SCHEMA_VERSION


def test_the_frozen_first_version_is_the_one_that_the_program_starts_from():
    """Were the first version's SQL edited, old files would not be what the later versions build on."""

    def shape(sql):
        connection = sqlite3.connect(":memory:")
        connection.executescript(sql)
        names = [
            name
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE sql NOT NULL ORDER BY name"
            )
        ]
        columns = {name: connection.execute(f"PRAGMA table_info({name})").fetchall() for name in names}
        connection.close()
        return columns

    assert shape(VERSION_1) == shape(database.VERSIONS[0])
    assert shape(VERSION_1 + VERSION_2) == shape("".join(database.VERSIONS[:2]))


def test_it_is_stopped_before_another_reads_it(start, tmp_path):
    """One writer: a second process does not open the file."""
    emulator = start()
    with pytest.raises(Exception, match="another emulator has this data folder"):
        process.lock(emulator.options.data)
