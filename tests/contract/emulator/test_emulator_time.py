"""What waits for a moment waits for the clock that a test moves: nothing here sleeps."""

from __future__ import annotations

import json

import httpx
import pytest

from tunestack.emulator.environment import token_of

DAY = 86400


@pytest.fixture(scope="module")
def moved(emulator, tmp_path_factory):
    """An emulator of this file's own: its clock runs ahead of every other's."""
    from dataclasses import replace

    from tunestack.emulator import process

    data = tmp_path_factory.mktemp("time") / "data"
    local = type(emulator)(replace(emulator.options, data=data, port=0, enforce_iam=True))
    yield local
    process.stop(data)


def later(emulator, seconds):
    return emulator.call("POST", "/_local/clock", {"advanceSeconds": seconds})["now"]


def test_a_grant_on_a_bucket_ends_when_its_condition_says(moved):
    bucket = moved.storage("tunestack-local").create_bucket("granted-for-a-day")
    until = moved.call("GET", "/_local/clock")["now"][:10]
    policy = moved.call("GET", f"/storage/v1/b/{bucket.name}/iam")
    condition = {"title": "today", "expression": f'request.time < timestamp("{until}T23:59:59Z")'}
    binding = {
        "role": "roles/storage.objectViewer",
        "members": ["user:guest@example.com"],
        "condition": condition,
    }
    bindings = [*policy["bindings"], binding]
    moved.call("PUT", f"/storage/v1/b/{bucket.name}/iam", {**policy, "bindings": bindings, "version": 3})
    guest = httpx.Client(
        base_url=moved.url, headers={"authorization": f"Bearer {token_of('guest@example.com')}"}
    )
    assert guest.get(f"/storage/v1/b/{bucket.name}/o").status_code == 200
    later(moved, DAY)
    assert guest.get(f"/storage/v1/b/{bucket.name}/o").status_code == 403


def test_the_address_of_an_upload_lives_a_week(moved):
    moved.storage("tunestack-local").create_bucket("uploads-for-a-week")
    begin = moved.http.post("/upload/storage/v1/b/uploads-for-a-week/o?uploadType=resumable&name=x")
    location = begin.headers["location"]
    moved.http.put(location, content=b"a" * 262144, headers={"content-range": "bytes 0-262143/*"})
    later(moved, 6 * DAY)
    assert moved.http.put(location, headers={"content-range": "bytes */*"}).status_code == 308
    later(moved, DAY + 1)
    gone = moved.http.put(location, headers={"content-range": "bytes */*"})
    assert (gone.status_code, "No such upload" in gone.text) == (404, True)


def test_a_deleted_object_can_be_restored_until_its_time_is_over(moved):
    policy = {"retentionDurationSeconds": str(7 * DAY)}
    moved.call("POST", "/storage/v1/b", {"name": "soft-for-a-week", "softDeletePolicy": policy}, project="p")
    moved.http.post("/upload/storage/v1/b/soft-for-a-week/o?uploadType=media&name=x", content=b"x")
    moved.call("DELETE", "/storage/v1/b/soft-for-a-week/o/x")

    def listed():
        found = moved.call("GET", "/storage/v1/b/soft-for-a-week/o", softDeleted="true")
        return [item["name"] for item in found.get("items", [])]

    assert listed() == ["x"]
    later(moved, 7 * DAY - 60)
    assert listed() == ["x"]
    later(moved, 61)
    assert listed() == []


def test_jobs_that_are_held_for_days_end_in_their_order(moved):
    parent = "projects/tunestack-local/locations/us-central1"
    names = {}
    for days in (3, 1, 2):
        script = moved.script(state="SUCCEEDED" if days != 2 else "EXPIRED", afterSeconds=days * DAY)
        pools = [{"containerSpec": {"imageUri": "python:3.11"}}]
        body = {"displayName": script, "jobSpec": {"workerPoolSpecs": pools}}
        names[days] = moved.call("POST", f"/v1/{parent}/customJobs", body)["name"]
    for name in names.values():
        moved.wait(name, lambda job: job["state"] == "JOB_STATE_RUNNING")
    ends = []
    for day, state in ((1, "SUCCEEDED"), (2, "EXPIRED"), (3, "SUCCEEDED")):
        later(moved, DAY)
        ended = moved.wait(names[day])
        assert ended["state"] == f"JOB_STATE_{state}"
        ends.append(ended["endTime"])
        live = {job["name"] for job in moved.call("GET", "/_local/jobs")["jobs"]}
        assert live == {name for other, name in names.items() if other > day}, json.dumps(names)
    assert ends == sorted(ends)
