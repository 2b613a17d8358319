"""kill -9 in the middle of it, again and again: what was acknowledged is there, what was not is whole or absent.

The process dies, not the machine: that what is written also outlives a power cut rests on `synchronous=FULL` and
fsync, and is not shown here.
"""

from __future__ import annotations

import base64
import concurrent.futures
import hashlib
import json
import os
import random
import signal
import threading

import httpx
import pytest

PIECE = 256 * 1024


def test_an_upload_killed_in_the_middle_of_a_part_goes_on_from_what_was_acknowledged(start):
    emulator = start()
    bucket = emulator.bucket()
    chance = random.Random(6)
    content = chance.randbytes(8 * PIECE + 12345)
    begin = emulator.http.post(f"/upload/storage/v1/b/{bucket.name}/o?uploadType=resumable&name=big")
    location = httpx.URL(begin.headers["location"])
    acknowledged = kills = 0

    def here():
        return location.copy_with(port=emulator.running.options.port)

    def part(first, size, kill_after=None):
        """Send a part, piece by piece; after ``kill_after`` bytes the emulator is killed while the rest follows."""
        last = first + size - 1

        def body():
            sent = 0
            while sent < size:
                piece = content[first + sent : first + min(sent + 16 * 1024, size)]
                if kill_after is not None and sent <= kill_after < sent + len(piece):
                    emulator.kill()
                yield piece
                sent += len(piece)

        headers = {"content-range": f"bytes {first}-{last}/{len(content)}", "content-length": str(size)}
        return emulator.http.put(here(), content=body(), headers=headers)

    while True:
        answer = part(acknowledged, PIECE) if len(content) - acknowledged > 3 * PIECE else None
        if answer is not None:
            assert answer.status_code == 308
            acknowledged = int(answer.headers["range"].rpartition("-")[2]) + 1
            rest = len(content) - acknowledged
            size = min(2 * PIECE, rest // PIECE * PIECE)
            with pytest.raises(httpx.TransportError):
                part(acknowledged, size, kill_after=chance.randrange(size))
            kills += 1
            emulator.start_again()
            asked = emulator.http.put(here(), headers={"content-range": "bytes */*"})
            have = int(asked.headers["range"].rpartition("-")[2]) + 1
            assert asked.status_code == 308
            assert acknowledged <= have <= acknowledged + size
            assert have % PIECE == 0
            acknowledged = have
        else:
            last = part(acknowledged, len(content) - acknowledged)
            assert last.status_code == 200, last.text
            break
    emulator.kill()
    emulator.start_again()
    blob = emulator.storage().bucket(bucket.name).get_blob("big")
    print(f"\nupload: {kills} kills within parts; {blob.size} bytes there, of {len(content)}")
    assert kills >= 3
    assert hashlib.sha256(blob.download_as_bytes()).digest() == hashlib.sha256(content).digest()
    assert [found.name for found in emulator.storage().list_blobs(bucket.name)] == ["big"]


def test_a_tuning_job_killed_again_and_again_is_one_job_with_one_model(start):
    emulator = start(step_seconds=0.1)
    spec = {**emulator.tuning_data(64), "hyperParameters": {"epochCount": "4"}}
    body = {
        "baseModel": "gemini-2.5-flash",
        "supervisedTuningSpec": spec,
        "tunedModelDisplayName": "survivor",
    }
    job = emulator.call("POST", "/v1beta1/projects/p1/locations/us-central1/tuningJobs", body)["name"]

    def progress():
        """Steps of the training so far."""
        files = list((emulator.options.data / "jobs").rglob("progress.jsonl"))
        lines = files[0].read_text().splitlines() if files else []
        return max(
            [json.loads(line).get("step", 0) for line in lines if line.startswith("{") and line.endswith("}")]
            or [0]
        )

    seen = []
    for step in (1, 9, 17, 25):
        emulator.wait(job, lambda _, step=step: progress() >= step)
        # The trainer is held meanwhile, so that it does not come to its end before the emulator is back.
        (who,) = (emulator.options.data / "jobs").rglob("process.json")
        group = json.loads(who.read_text())["pid"]
        os.killpg(group, signal.SIGSTOP)
        seen.append(progress())
        emulator.kill()
        emulator.start_again()
        assert emulator.call("GET", f"/v1/{job}")["state"] == "JOB_STATE_RUNNING"
        os.killpg(group, signal.SIGCONT)
    ended = emulator.wait(job)
    assert ended["state"] == "JOB_STATE_SUCCEEDED"
    listed = emulator.call("GET", "/v1/projects/p1/locations/us-central1/tuningJobs")["tuningJobs"]
    models = emulator.call("GET", "/v1/projects/p1/locations/us-central1/models")["models"]
    endpoints = emulator.call("GET", "/v1/projects/p1/locations/us-central1/endpoints")["endpoints"]
    submissions = emulator.call("GET", "/_local/submissions")["submissions"]
    (starts,) = (emulator.options.data / "jobs").rglob("starts.jsonl")
    print(
        f"\ntuning job: killed at steps {seen}; {len(starts.read_text().splitlines())} start of its training,"
    )
    print(f"  {len(submissions)} submission, {len(models)} model, {len(endpoints)} endpoints")
    assert [len(found) for found in (listed, models, submissions)] == [1, 1, 1]
    tuned = ended["tunedModel"]
    assert {row["name"] for row in endpoints} == {
        tuned["endpoint"],
        *(checkpoint["endpoint"] for checkpoint in tuned["checkpoints"]),
    }
    assert ended["tunedModel"]["model"] == f"{models[0]['name']}@1"
    assert len(starts.read_text().splitlines()) == 1  # no kill of the emulator ended the training


def test_of_a_burst_of_a_thousand_writes_every_acknowledged_one_is_there(start):
    emulator = start()
    bucket = emulator.bucket()
    parent = "projects/p1/locations/us-central1"
    acknowledged: dict[int, str] = {}  # number -> what it left
    sent: set[int] = set()
    guard = threading.Lock()
    numbers = iter(range(10**6))
    rounds = 4

    def write(client, number):
        """One write of four kinds, and what must be there afterwards."""
        kind = number % 4
        if kind == 0:
            text = f"content {number}" * 20
            query = {"uploadType": "media", "name": f"o-{number}"}
            answer = client.post(f"/upload/storage/v1/b/{bucket.name}/o", params=query, content=text)
            return answer, text
        if kind == 1:
            query = {"endpointId": f"e{number}"}
            answer = client.post(f"/v1/{parent}/endpoints", params=query, json={"displayName": f"e {number}"})
            return answer, f"e {number}"
        if kind == 2:
            body = {"accountId": f"account-{number}", "serviceAccount": {"displayName": f"a {number}"}}
            return client.post("/v1/projects/p1/serviceAccounts", json=body), f"a {number}"
        body = {"quotaConfig": {"preferredValue": str(number)}, "service": "aiplatform.googleapis.com"}
        body |= {
            "quotaId": "CustomModelTrainingL4GPUsPerProjectPerRegion",
            "dimensions": {"region": f"r{number}"},
        }
        query = {"quotaPreferenceId": f"q{number}"}
        answer = client.post("/v1/projects/p1/locations/global/quotaPreferences", params=query, json=body)
        return answer, str(number)

    def writer(goal):
        with httpx.Client(base_url=emulator.url, timeout=30) as client:
            while True:
                with guard:
                    if len(acknowledged) >= goal:
                        return
                    number = next(numbers)
                    sent.add(number)
                try:
                    answer, left = write(client, number)
                except httpx.TransportError:
                    return  # the emulator was killed
                assert answer.status_code == 200, answer.text
                with guard:
                    acknowledged[number] = left
                    kill = len(acknowledged) == goal and goal < 1000
                if kill:
                    emulator.kill()
                    return

    for goal in [1000 * part // rounds for part in range(1, rounds + 1)]:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(writer, goal) for _ in range(8)]:
                done.result()
        if goal < 1000:
            emulator.start_again()
    emulator.kill()
    emulator.start_again()

    there = {}
    for blob in emulator.storage().list_blobs(bucket.name):
        number = int(blob.name.removeprefix("o-"))
        there[number] = emulator.http.get(
            f"/download/storage/v1/b/{bucket.name}/o/{blob.name}?alt=media"
        ).text
    for row in pages(emulator, f"/v1/{parent}/endpoints", "endpoints"):
        there[int(row["name"].rpartition("/e")[2])] = row["displayName"]
    for row in pages(emulator, "/v1/projects/p1/serviceAccounts", "accounts"):
        there[int(row["email"].partition("@")[0].removeprefix("account-"))] = row["displayName"]
    for row in pages(emulator, "/v1/projects/p1/locations/global/quotaPreferences", "quotaPreferences"):
        there[int(row["name"].rpartition("/q")[2])] = row["quotaConfig"]["preferredValue"]
    unsaid = set(there) - set(acknowledged)
    print(
        f"\nburst: {len(sent)} writes sent, {rounds} kills, {len(acknowledged)} acknowledged, {len(there)} there"
    )
    print(f"  {len(unsaid)} there whose answer was lost, {len(sent - set(there))} that never came")
    assert len(acknowledged) >= 1000
    assert {number: there.get(number) for number in acknowledged} == acknowledged
    # What was under way is whole or not there, and there was no more of it than there were writers.
    assert unsaid <= sent
    assert len(unsaid) <= 8 * rounds
    for number in unsaid:
        assert there[number].endswith(str(number)), there[number]


def pages(emulator, path, field):
    token = None
    while True:
        query = {"pageSize": "100", **({"pageToken": token} if token else {})}
        page = emulator.call("GET", path, **query)
        yield from page.get(field, [])
        token = page.get("nextPageToken")
        if not token:
            return


KINDS = ("compose", "rewrite", "resumable", "publish", "insertAll")


def test_of_a_burst_of_writes_of_several_steps_every_acknowledged_one_is_whole(start):
    """Compositions, rewrites, resumable uploads, messages and streamed rows: each is more than one row of a table."""
    emulator = start()
    bucket = emulator.bucket()
    topic, subscription = "projects/p1/topics/burst", "projects/p1/subscriptions/burst"
    emulator.call("PUT", f"/v1/{topic}", {})
    emulator.call("PUT", f"/v1/{subscription}", {"topic": topic, "ackDeadlineSeconds": 600})
    emulator.call("POST", "/bigquery/v2/projects/p1/datasets", {"datasetReference": {"datasetId": "burst"}})
    fields = [{"name": "number", "type": "INTEGER"}, {"name": "text", "type": "STRING"}]
    reference = {"projectId": "p1", "datasetId": "burst", "tableId": "rows"}
    table = {"tableReference": reference, "schema": {"fields": fields}}
    emulator.call("POST", "/bigquery/v2/projects/p1/datasets/burst/tables", table)
    parts = {name: random.Random(name).randbytes(2 * PIECE) for name in ("head", "tail")}
    for name, content in parts.items():
        bucket.blob(name).upload_from_string(content)
    expected = {
        "compose": parts["head"] + parts["tail"],
        "rewrite": parts["head"],
        "resumable": parts["tail"] + b"!",
    }
    objects = f"/storage/v1/b/{bucket.name}/o"
    acknowledged: set[int] = set()
    sent: set[int] = set()
    guard = threading.Lock()
    numbers = iter(range(10**6))
    rounds, each = 3, 40

    def resumable(client, name, content):
        begin = client.post(f"/upload{objects}", params={"uploadType": "resumable", "name": name})
        if begin.status_code != 200:
            return begin
        answer = begin
        for first in range(0, len(content), PIECE):
            piece = content[first : first + PIECE]
            span = f"bytes {first}-{first + len(piece) - 1}/{len(content)}"
            answer = client.put(begin.headers["location"], content=piece, headers={"content-range": span})
        return answer

    def write(client, number):
        kind = KINDS[number % len(KINDS)]
        name = f"{kind}-{number}"
        if kind == "compose":
            return client.post(
                f"{objects}/{name}/compose", json={"sourceObjects": [{"name": "head"}, {"name": "tail"}]}
            )
        if kind == "rewrite":
            return client.post(f"{objects}/head/rewriteTo/b/{bucket.name}/o/{name}", json={})
        if kind == "resumable":
            return resumable(client, name, expected["resumable"])
        if kind == "publish":
            data = base64.b64encode(str(number).encode()).decode()
            return client.post(f"/v1/{topic}:publish", json={"messages": [{"data": data}]})
        rows = {"rows": [{"json": {"number": number, "text": "row"}}]}
        return client.post("/bigquery/v2/projects/p1/datasets/burst/tables/rows/insertAll", json=rows)

    def writer(goal, kills):
        with httpx.Client(base_url=emulator.url, timeout=60) as client:
            while True:
                with guard:
                    if len(acknowledged) >= goal:
                        return
                    number = next(numbers)
                    sent.add(number)
                try:
                    answer = write(client, number)
                except httpx.TransportError:
                    return  # the emulator was killed
                assert answer.status_code == 200, answer.text
                with guard:
                    acknowledged.add(number)
                    kill = kills and len(acknowledged) == goal
                if kill:
                    emulator.kill()
                    return

    for turn in range(1, rounds + 1):
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(writer, turn * each, True) for _ in range(8)]:
                done.result()
        emulator.start_again()

    there = {"publish": [], "insertAll": []}
    while received := emulator.call(
        "POST", f"/v1/{subscription}:pull", {"maxMessages": 1000, "returnImmediately": True}
    ).get("receivedMessages"):
        there["publish"] += [int(base64.b64decode(each["message"]["data"])) for each in received]
    query = {"query": "SELECT number, text FROM burst.rows", "useLegacySql": False, "maxResults": 10_000}
    for row in emulator.call("POST", "/bigquery/v2/projects/p1/queries", query).get("rows", []):
        number, text = (field["v"] for field in row["f"])
        assert text == "row"
        there["insertAll"].append(int(number))
    for name in [blob.name for blob in emulator.storage().list_blobs(bucket.name)]:
        kind, _, number = name.rpartition("-")
        if kind:
            content = emulator.http.get(f"/download{objects}/{name}", params={"alt": "media"}).content
            assert content == expected[kind], (name, len(content))
            there.setdefault(kind, []).append(int(number))
    counts = {kind: len(found) for kind, found in there.items()}
    found = {number for numbers in there.values() for number in numbers}
    lost, unsaid = acknowledged - found, found - acknowledged
    print(
        f"\nburst of several steps: {len(sent)} sent, {rounds} kills, {len(acknowledged)} acknowledged; {counts}"
    )
    print(f"  {len(lost)} lost, {len(unsaid)} there whose answer was lost")
    assert not lost
    assert unsaid <= sent
    assert len(unsaid) <= 8 * rounds
    assert all(len(numbers) == len(set(numbers)) for numbers in there.values())
