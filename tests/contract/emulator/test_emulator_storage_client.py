"""google-cloud-storage, unchanged, against the emulator."""

from __future__ import annotations

import base64
import gzip
import io
import uuid

import pytest
from google.api_core import exceptions
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY


def test_a_bucket_reads_back_as_it_was_sent(emulator):
    client = emulator.storage(project="p1")
    bucket = client.bucket(f"b-{uuid.uuid4().hex[:12]}")
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.iam_configuration.public_access_prevention = "enforced"
    bucket.versioning_enabled = True
    bucket.labels = {"env": "dev"}
    bucket.add_lifecycle_delete_rule(age=30)
    client.create_bucket(bucket, location="europe-west4")
    read = client.get_bucket(bucket.name)
    assert read.location == "EUROPE-WEST4"
    assert read.location_type == "region"
    assert read.iam_configuration.uniform_bucket_level_access_enabled
    assert read.iam_configuration.public_access_prevention == "enforced"
    assert read.versioning_enabled
    assert read.labels == {"env": "dev"}
    assert list(read.lifecycle_rules) == [{"action": {"type": "Delete"}, "condition": {"age": 30}}]
    assert read.project_number == client.create_bucket(f"b-{uuid.uuid4().hex[:12]}").project_number


def test_a_patch_removes_what_is_null_and_leaves_the_rest(emulator):
    bucket = emulator.bucket()
    bucket.labels = {"a": "1", "b": "2"}
    bucket.patch()
    bucket.labels = {"b": "3"}
    bucket.patch()
    read = bucket.client.get_bucket(bucket.name)
    assert read.labels == {"b": "3"}
    assert read.metageneration == 3


def test_names_that_google_refuses_are_refused(emulator):
    client = emulator.storage()
    with pytest.raises(exceptions.BadRequest, match="Invalid bucket name: 'Not_A-Bucket'"):
        client.create_bucket("Not_A-Bucket")
    bucket = emulator.bucket()
    with pytest.raises(exceptions.Conflict, match="you already own it"):
        client.create_bucket(bucket.name)
    with pytest.raises(exceptions.NotFound, match="The specified bucket does not exist"):
        client.get_bucket("nowhere-to-be-found")


def test_a_bucket_with_objects_is_not_deleted(emulator):
    bucket = emulator.bucket()
    bucket.blob("x").upload_from_string("1")
    with pytest.raises(exceptions.Conflict, match="not empty"):
        bucket.delete()
    bucket.delete(force=True)
    assert not bucket.exists()


@pytest.mark.parametrize(
    "name", ["plain", "a/b/c.txt", "with space & ünïcode/%2F/+.json", "a:predict", "..x"]
)
def test_an_object_of_any_name_comes_back_whole(emulator, name):
    bucket = emulator.bucket()
    blob = bucket.blob(name)
    blob.metadata = {"Mixed_Case": "kept"}
    blob.cache_control = "no-store"
    blob.upload_from_string(b"\x00\xffbytes", content_type="application/x-test")
    read = bucket.get_blob(name)
    assert read.download_as_bytes() == b"\x00\xffbytes"
    assert (read.content_type, read.size, read.metadata) == ("application/x-test", 7, {"Mixed_Case": "kept"})
    assert read.cache_control == "no-store"
    assert [blob.name for blob in bucket.list_blobs()] == [name]
    blob.delete()
    assert not blob.exists()


def test_ranges_are_served_and_impossible_ones_refused(emulator):
    blob = emulator.bucket().blob("digits")
    blob.upload_from_string("0123456789")
    assert blob.download_as_bytes(start=2, end=4) == b"234"
    assert blob.download_as_bytes(start=7) == b"789"
    assert blob.download_as_bytes(start=-3) == b"789"
    with pytest.raises(exceptions.RequestRangeNotSatisfiable):
        blob.download_as_bytes(start=10)


def test_preconditions_protect_what_is_there(emulator):
    bucket = emulator.bucket()
    blob = bucket.blob("x")
    blob.upload_from_string("first", if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("x").upload_from_string("second", if_generation_match=0)
    assert bucket.blob("x").download_as_bytes() == b"first"
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("x").delete(if_generation_match=blob.generation + 1)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("x").patch(if_metageneration_match=9)
    generation = blob.generation
    bucket.blob("x").upload_from_string("second", if_generation_match=generation)
    assert bucket.get_blob("x").generation > generation


def test_a_refused_upload_leaves_no_content_behind(emulator):
    bucket = emulator.bucket()
    text = uuid.uuid4().hex
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("x").upload_from_string(text, if_generation_match=5)
    contents = (path for path in (emulator.options.data / "objects").rglob("*") if path.is_file())
    assert all(path.read_bytes() != text.encode() for path in contents)


def test_a_versioned_bucket_keeps_what_was_overwritten_and_deleted(emulator):
    bucket = emulator.bucket()
    bucket.versioning_enabled = True
    bucket.patch()
    first = bucket.blob("x")
    first.upload_from_string("first")
    bucket.blob("x").upload_from_string("second")
    assert bucket.blob("x", generation=first.generation).download_as_bytes() == b"first"
    bucket.blob("x").delete()
    assert bucket.get_blob("x") is None
    versions = list(bucket.list_blobs(versions=True))
    assert [bool(blob.time_deleted) for blob in versions] == [True, True]
    bucket.blob("x", generation=first.generation).delete()
    assert [blob.download_as_bytes() for blob in bucket.list_blobs(versions=True)] == [b"second"]


def test_lists_have_folders_pages_and_only_the_fields_asked_for(emulator):
    bucket = emulator.bucket()
    for name in ("a/1", "a/2", "b/1", "b/c/1", "top"):
        bucket.blob(name).upload_from_string("x")
    found = bucket.list_blobs(delimiter="/")
    assert [blob.name for blob in found] == ["top"]
    assert found.prefixes == {"a/", "b/"}
    found = bucket.list_blobs(delimiter="/", prefix="b/")
    assert [blob.name for blob in found] == ["b/1"]
    assert found.prefixes == {"b/c/"}
    pages = [[blob.name for blob in page] for page in bucket.list_blobs(page_size=2).pages]
    assert pages == [["a/1", "a/2"], ["b/1", "b/c/1"], ["top"]]
    folders = emulator.call("GET", f"/storage/v1/b/{bucket.name}/o", delimiter="/", maxResults=1)
    assert folders["prefixes"] == ["a/"]
    rest = emulator.call(
        "GET", f"/storage/v1/b/{bucket.name}/o", delimiter="/", pageToken=folders["nextPageToken"]
    )
    assert (rest["prefixes"], [item["name"] for item in rest["items"]]) == (["b/"], ["top"])
    part = emulator.call("GET", f"/storage/v1/b/{bucket.name}/o", fields="items(name,size),nextPageToken")
    assert part["items"][0] == {"name": "a/1", "size": "1"}


def test_an_upload_in_parts_that_is_interrupted_goes_on_where_it_stopped(emulator):
    data = bytes(range(256)) * 4096  # 1 MiB
    bucket = emulator.bucket()
    faulty = FaultAt(data, at=524288, emulator=emulator)
    blob = bucket.blob("big", chunk_size=262144)
    blob.upload_from_file(faulty, retry=DEFAULT_RETRY.with_delay(0.01, 0.02, 1))
    assert blob.download_as_bytes() == data
    assert emulator.call("GET", "/_local/faults")["faults"][0]["fired"] == 1
    emulator.call("DELETE", "/_local/faults")


class FaultAt(io.BytesIO):
    """A file that has a 503 set up for the upload once it was read this far."""

    def __init__(self, data, at, emulator):
        super().__init__(data)
        self.at, self.emulator = at, emulator

    def read(self, size=-1):
        if self.at is not None and self.tell() >= self.at:
            self.at = None
            self.emulator.call("POST", "/_local/faults", {"method": "storage.objects.insert", "status": 503})
        return super().read(size)


def test_half_a_part_that_arrived_is_kept_in_whole_256_kib(emulator):
    bucket = emulator.bucket()
    begin = emulator.http.post(
        f"/upload/storage/v1/b/{bucket.name}/o?uploadType=resumable",
        json={"name": "x", "contentType": "text/plain"},
    )
    location = begin.headers["location"]
    part = emulator.http.put(location, content=b"a" * 300_000, headers={"content-range": "bytes 0-299999/*"})
    assert (part.status_code, part.headers["range"]) == (308, "bytes=0-262143")
    asked = emulator.http.put(location, headers={"content-range": "bytes */*"})
    assert (asked.status_code, asked.headers["range"]) == (308, "bytes=0-262143")
    hole = emulator.http.put(location, content=b"z", headers={"content-range": "bytes 300000-300000/300001"})
    assert hole.status_code == 503
    # Bytes that had arrived are sent again, as a careful client may.
    last = emulator.http.put(
        location, content=b"b" * 100_000, headers={"content-range": "bytes 250000-349999/350000"}
    )
    assert last.status_code == 200
    assert bucket.blob("x").download_as_bytes() == b"a" * 262_144 + b"b" * 87_856
    assert emulator.http.put(location, headers={"content-range": "bytes */350000"}).json()["name"] == "x"


def test_a_content_that_is_not_what_was_announced_is_refused(emulator):
    bucket = emulator.bucket()
    blob = bucket.blob("x")
    blob.md5_hash = base64.b64encode(b"0" * 16).decode()
    with pytest.raises(exceptions.BadRequest, match="doesn't match calculated MD5"):
        blob.upload_from_string("other")
    assert not bucket.blob("x").exists()


def test_copy_rewrite_compose_and_batch(emulator):
    bucket, other = emulator.bucket(), emulator.bucket()
    source = bucket.blob("a")
    source.upload_from_string("alpha", content_type="text/x-alpha")
    bucket.blob("b").upload_from_string("beta")
    copy = bucket.copy_blob(source, other, "copied")
    assert (copy.download_as_bytes(), copy.content_type) == (b"alpha", "text/x-alpha")
    rewritten = other.blob("rewritten")
    assert rewritten.rewrite(source)[0] is None
    assert rewritten.download_as_bytes() == b"alpha"
    both = bucket.blob("both")
    both.compose([source, bucket.blob("b")])
    assert both.download_as_bytes() == b"alphabeta"
    assert both.component_count == 2
    with bucket.client.batch():
        bucket.delete_blob("a")
        bucket.delete_blob("b")
    assert [blob.name for blob in bucket.list_blobs()] == ["both"]


def test_equal_contents_share_a_file_and_the_last_one_removes_it(emulator):
    bucket = emulator.bucket()
    text = uuid.uuid4().hex
    for name in ("one", "two"):
        bucket.blob(name).upload_from_string(text)
    files = [
        p
        for p in (emulator.options.data / "objects").rglob("*")
        if p.is_file() and p.read_bytes() == text.encode()
    ]
    assert len(files) == 1
    bucket.blob("one").delete()
    assert bucket.blob("two").download_as_text() == text
    bucket.blob("two").delete()
    assert not files[0].exists()


def test_a_bucket_policy_is_guarded_by_its_etag(emulator):
    bucket = emulator.bucket()
    policy = bucket.get_iam_policy(requested_policy_version=3)
    assert "roles/storage.legacyBucketOwner" in {binding["role"] for binding in policy.bindings}
    stale = bucket.get_iam_policy(requested_policy_version=3)
    policy.bindings.append({"role": "roles/storage.objectViewer", "members": {"serviceAccount:a@b.c"}})
    bucket.set_iam_policy(policy)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.set_iam_policy(stale)
    read = bucket.get_iam_policy(requested_policy_version=3)
    assert {"role": "roles/storage.objectViewer", "members": {"serviceAccount:a@b.c"}} in read.bindings
    assert bucket.test_iam_permissions(["storage.objects.get"]) == ["storage.objects.get"]
    read.bindings.append({"role": "roles/storage.objectViewer", "members": {"nobody"}})
    with pytest.raises(exceptions.BadRequest, match="unknown type"):
        bucket.set_iam_policy(read)


def test_a_plain_client_finds_the_emulator_by_its_environment(emulator, monkeypatch):
    from tunestack.emulator.environment import environment

    for name, value in environment(emulator.running.options).items():
        monkeypatch.setenv(name, value)
    client = storage.Client()
    name = f"b-{uuid.uuid4().hex[:12]}"
    client.create_bucket(name)
    assert name in {bucket.name for bucket in client.list_buckets()}


def test_what_has_not_changed_is_not_sent_again(emulator):
    bucket = emulator.bucket()
    blob = bucket.blob("a")
    blob.upload_from_string("x")
    with pytest.raises(exceptions.NotModified):
        bucket.get_blob("a", if_generation_not_match=blob.generation)
    path = f"/download/storage/v1/b/{bucket.name}/o/a"
    answer = emulator.http.get(path, params={"alt": "media", "ifGenerationNotMatch": blob.generation})
    assert (answer.status_code, answer.content) == (304, b"")
    with pytest.raises(exceptions.PreconditionFailed):
        blob.delete(if_generation_match=1)


def test_a_glob_stops_at_slashes_where_it_says(emulator):
    bucket = emulator.bucket()
    for name in ("d/1", "d/2", "d/e/3", "d.txt"):
        bucket.blob(name).upload_from_string("")

    def found(glob):
        return [blob.name for blob in bucket.list_blobs(match_glob=glob)]

    assert found("d/*") == ["d/1", "d/2"]
    assert found("d/**") == ["d/1", "d/2", "d/e/3"]
    assert found("d?1") == []
    assert found("d/{1,e/3}") == ["d/1", "d/e/3"]
    assert found("d/[!1]") == ["d/2"]
    assert found("d.*") == ["d.txt"]
    with pytest.raises(exceptions.BadRequest, match="glob"):
        found("d/[z-a]")


def test_what_is_stored_as_gzip_is_unpacked_for_who_cannot(emulator):
    bucket = emulator.bucket()
    blob = bucket.blob("packed")
    blob.content_encoding = "gzip"
    packed = gzip.compress(b"rows and rows")
    blob.upload_from_string(packed)
    assert blob.download_as_bytes(raw_download=True) == packed
    assert blob.download_as_bytes() == b"rows and rows"
    path = f"/download/storage/v1/b/{bucket.name}/o/packed?alt=media"
    plain = emulator.http.get(path, headers={"accept-encoding": "identity"})
    assert (plain.content, plain.headers.get("content-encoding")) == (b"rows and rows", None)
    assert plain.headers["x-goog-stored-content-encoding"] == "gzip"


def test_a_field_that_there_is_not_is_refused(emulator):
    bucket = emulator.bucket()
    path = f"/storage/v1/b/{bucket.name}/o"
    for fields, wrong in (("items(name,nosuch)", "nosuch"), ("nextToken", "nextToken"), ("items/acl/x", "x")):
        answer = emulator.http.get(path, params={"fields": fields})
        assert (answer.status_code, f"Invalid field selection {wrong}" in answer.text) == (400, True)
    assert emulator.http.get(path, params={"fields": "items(name,metadata/anything),kind"}).status_code == 200


def test_a_bucket_is_not_called_after_google(emulator):
    for name in ("goog-x", "my-google-data"):
        with pytest.raises(exceptions.BadRequest, match="Invalid bucket name"):
            emulator.storage().create_bucket(name)
