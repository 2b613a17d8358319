"""Routes from Google's documents, and that the pruned files are what the generator makes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tunestack.emulator.documents import FOLDER, load

ROOT = Path(__file__).parents[3]
PLACE = "projects/p1/locations/us-central1"


@pytest.mark.parametrize(
    ("verb", "path", "method", "parameters"),
    [
        (
            "POST",
            f"/v1/{PLACE}/pipelineJobs",
            "aiplatform.projects.locations.pipelineJobs.create",
            {"parent": PLACE},
        ),
        (
            "POST",
            f"/v1beta1/{PLACE}/endpoints/88:predict",
            "aiplatform.projects.locations.endpoints.predict",
            {"endpoint": f"{PLACE}/endpoints/88"},
        ),
        (
            "POST",
            f"/v1/{PLACE}/publishers/google/models/text-bison%40001:predict",
            "aiplatform.projects.locations.publishers.models.predict",
            {"endpoint": f"{PLACE}/publishers/google/models/text-bison@001"},
        ),
        (
            "GET",
            f"/ui/{PLACE}/endpoints/88/operations/1",
            "aiplatform.projects.locations.endpoints.operations.get",
            {"name": f"{PLACE}/endpoints/88/operations/1"},
        ),
        (
            "GET",
            "/storage/v1/b/x/o/a%2Fb%25.txt",
            "storage.objects.get",
            {"bucket": "x", "object": "a/b%.txt"},
        ),
        ("POST", "/upload/storage/v1/b/x/o", "storage.objects.insert", {"bucket": "x"}),
        ("GET", "/download/storage/v1/b/x/o/y", "storage.objects.get", {"bucket": "x", "object": "y"}),
        (
            "POST",
            "/v1/projects/p1:getIamPolicy",
            "cloudresourcemanager.projects.getIamPolicy",
            {"resource": "p1"},
        ),
        (
            "POST",
            "/v1/projects/p1/serviceAccounts",
            "iam.projects.serviceAccounts.create",
            {"name": "projects/p1"},
        ),
        (
            "POST",
            "/v1/projects/p1/services/x.googleapis.com:enable",
            "serviceusage.services.enable",
            {"name": "projects/p1/services/x.googleapis.com"},
        ),
    ],
)
def test_a_request_is_its_method(verb, path, method, parameters):
    match = load().match(verb, path)
    assert match is not None
    assert (match.method.id, match.parameters) == (method, parameters)


def test_what_is_no_method_is_none():
    assert load().match("GET", "/v1/nothing/here") is None
    assert load().match("PATCH", f"/v1/{PLACE}/pipelineJobs/x") is None


def test_the_documents_stay_small():
    assert sum(file.stat().st_size for file in FOLDER.glob("*.json")) < 2 << 20


@pytest.mark.slow
def test_the_documents_are_what_the_generator_makes():
    made = subprocess.run(
        [sys.executable, "tools/discovery.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stdout + made.stderr
