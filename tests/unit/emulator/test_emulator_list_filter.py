"""List filters as callers write them."""

from __future__ import annotations

import pytest

from tunestack.emulator.errors import ApiError
from tunestack.emulator.list_filter import parse

ROW = {
    "displayName": "my job",
    "state": "PIPELINE_STATE_RUNNING",
    "createTime": "2026-05-01T00:00:00.000000Z",
    "labels": {"env": "dev", "tune-type": "sft", "a.b": "dotted"},
    "count": 3,
    "done": True,
    "aliases": ["default", "prod"],
    "metadata": {"loss": 0.5, "field:1": "x", "field_2": True, "deep": {"er": 1}},
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("", True),
        ("labels.env=dev", True),
        ('labels.env="dev" AND state="PIPELINE_STATE_RUNNING"', True),
        ('labels.env="dev" state="PIPELINE_STATE_FAILED"', False),
        ("labels.env=prod OR labels.env=dev", True),
        # OR binds more tightly than AND (AIP-160).
        ("labels.env=dev OR labels.env=x AND state=NO", False),
        ("NOT labels.env=dev", False),
        ("-labels.env=prod", True),
        ("(labels.env=prod OR done=true) AND count>=3", True),
        ("labels.tune-type:*", True),
        ("labels.missing:*", False),
        ("labels.missing!=x", True),
        ("labels.a.b=dotted", True),
        ("labels:env", True),
        ('display_name="my job"', True),
        ('display_name="my*"', True),
        ("display_name:job", True),
        ('create_time>"2026-04-01T00:00:00Z"', True),
        ('create_time<"2026-04-01T00:00:00Z"', False),
        ("count<3", False),
        ("aliases:prod", True),
        (r'display_name="a \"quoted\" name"', False),
        ("metadata.loss.number_value<1", True),
        ("metadata.loss.string_value:*", False),
        ('metadata."field:1".string_value="x"', True),
        ('metadata."field:1"="y"', False),
        ("metadata.field_2.bool_value=true", True),
        ("metadata.field_2.number_value=1", False),
        ("metadata.deep.er=1 AND metadata.deep.none.er:*", False),
    ],
)
def test_a_filter_holds_or_not(text, holds):
    assert parse(text)(ROW) is holds


@pytest.mark.parametrize("text", ["labels.env", "=dev", "a=", "(a=b", "a=b)", "a=b AND", 'a="b', "a=(b)"])
def test_what_is_no_filter_is_refused(text):
    with pytest.raises(ApiError) as refused:
        parse(text)(ROW)
    assert refused.value.code == 400


def test_a_number_is_not_compared_with_a_word():
    with pytest.raises(ApiError):
        parse("count>many")(ROW)


def test_a_service_may_know_functions():
    functions = {"in_context": lambda name: lambda row: row["displayName"] == name}
    assert parse('in_context("my job") AND count=3', functions)(ROW)
    assert not parse('NOT in_context("my job")', functions)(ROW)
    for text in ('in_context("a", "b")', "in_context(", 'in_circle("a")'):
        with pytest.raises(ApiError):
            parse(text, functions)(ROW)
