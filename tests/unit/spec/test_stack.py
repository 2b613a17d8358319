"""A stack's configuration: misspelt keys and impossible values are told with their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunestack.spec.errors import TunestackError
from tunestack.spec.stack import is_loopback_url, stack_file_places, stack_from_configuration

GOOD = {"project": "my-project", "regions": ["us-central1"], "jobs": ["one-job"]}


def test_a_misspelt_key_is_told_with_its_line_and_the_right_one(tmp_path: Path) -> None:
    file = tmp_path / "Pulumi.local.yaml"
    file.write_text("config:\n  tunestack:project: p\n  tunestack:regoins: [us-central1]\n  gcp:project: p\n")
    with pytest.raises(TunestackError) as caught:
        stack_file_places(file)
    (problem,) = caught.value.problems
    assert problem.where == "Pulumi.local.yaml:3:3"
    assert "did you mean 'tunestack:regions'?" in problem.message


def test_a_stack_that_does_not_exist_names_those_that_do(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.dev.yaml").write_text("config: {}\n")
    with pytest.raises(TunestackError) as caught:
        stack_file_places(tmp_path / "Pulumi.prod.yaml")
    assert caught.value.problems[0].need == "Pulumi.dev.yaml"
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"project": "My Project"}, "a project id has"),
        ({"endpoint": "https://aiplatform.googleapis.com"}, "the emulator"),
        ({"regions": ["a", "a"]}, "named twice: a"),
        ({"regions": []}, "at least 1 item"),
    ],
)
def test_an_impossible_value_is_refused_where_it_stands(changes: dict[str, object], words: str) -> None:
    key = next(iter(changes))
    with pytest.raises(TunestackError) as caught:
        stack_from_configuration("local", {**GOOD, **changes}, {key: "Pulumi.local.yaml:7:3"})
    (problem,) = caught.value.problems
    assert words in problem.message
    assert problem.where == "Pulumi.local.yaml:7:3"


def test_every_missing_key_is_told() -> None:
    with pytest.raises(TunestackError) as caught:
        stack_from_configuration("local", {}, {})
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8571", True),
        ("http://localhost:1", True),
        ("http://[::1]:80", True),
        ("http://127.0.0.1", False),
        ("https://127.0.0.1:8571", False),
        ("http://127.0.0.1.example.com:80", False),
        ("http://10.0.0.1:80", False),
        ("http://127.0.0.1:port", False),
    ],
)
def test_only_plain_http_to_this_machine_with_a_port_is_local(url: str, local: bool) -> None:
    assert is_loopback_url(url) is local
