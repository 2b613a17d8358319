"""A YAML document becomes a typed model, or every problem is told at its place."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, model_validator

from tunestack.spec.document import load_document, misfit, parse_document, place_of
from tunestack.spec.errors import Problem, TunestackError


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Evaluation(Strict):
    interval: int = Field(20, ge=1)
    early_stopping: bool = True


class Gate(Strict):
    metric: Literal["accuracy", "macro_f1"]
    at_least: float


class Job(Strict):
    name: str = Field(description="lower-case letters")
    region: Literal["us-central1", "europe-west4"]
    learning_rate_multiplier: float = 1.0
    evaluation: Evaluation = Evaluation()
    gate: tuple[Gate, ...] = ()
    data: str | list[str] | None = None

    @model_validator(mode="after")
    def _fits(self) -> Job:
        if self.name == "none" and self.gate:
            raise misfit(
                "a job without a name has no gate", "gate", 0, "metric", need="a name", fix="name it"
            )
        return self


GOOD = """\
name: sarcasm
region: us-central1
learning_rate_multiplier: 1e-1
gate:
  - {metric: accuracy, at_least: 0.8}
"""


def parse(source: str, variables: dict[str, str] | None = None) -> Job:
    return parse_document(textwrap.dedent(source), "job.yaml", Job, variables)


def problems(source: str, variables: dict[str, str] | None = None) -> tuple[Problem, ...]:
    with pytest.raises(TunestackError) as refused:
        parse(source, variables)
    return refused.value.problems


def test_a_good_document_becomes_the_model() -> None:
    assert parse(GOOD) == Job(
        name="sarcasm",
        region="us-central1",
        learning_rate_multiplier=0.1,
        gate=(Gate(metric="accuracy", at_least=0.8),),
    )


def test_every_problem_is_told_at_once_in_the_order_of_the_file() -> None:
    source = """\
        nam: sarcasm
        region: europe-west1
        learning_rate_multiplier: "1"
        evaluation: {interval: 0, early_stoping: true}
        region: us-central1
        gate:
          - metric: acuracy
          - {metric: accuracy, at_least: no}
        """
    assert "\n".join(map(str, problems(source))) == textwrap.dedent(
        """\
        unknown-key: unknown key `nam`
          at    job.yaml:1:1
          need  one of data, evaluation, gate, learning_rate_multiplier, name, region
          fix   write `name`
        value-not-allowed: `region` has a value that is not allowed
          at    job.yaml:2:9
          have  the text "europe-west1"
          need  one of us-central1, europe-west4
          fix   write `europe-west4`
        wrong-type: `learning_rate_multiplier` has the wrong type
          at    job.yaml:3:27
          have  the text "1"
          need  a number
        value-invalid: `evaluation.interval` does not fit
          at    job.yaml:4:24
          have  the number 0
          need  greater than or equal to 1
        unknown-key: unknown key `early_stoping` in `evaluation`
          at    job.yaml:4:27
          need  one of early_stopping, interval
          fix   write `early_stopping`
        duplicate-key: the key `region` stands twice
          at    job.yaml:5:1
          have  the first is on line 2
          fix   delete one
        missing-key: the key `gate[0].at_least` is missing
          at    job.yaml:7:5
          fix   add `at_least: …`
        value-not-allowed: `gate[0].metric` has a value that is not allowed
          at    job.yaml:7:13
          have  the text "acuracy"
          need  one of accuracy, macro_f1
          fix   write `accuracy`
        wrong-type: `gate[1].at_least` has the wrong type
          at    job.yaml:8:34
          have  the text "no"
          need  a number"""
    )


def test_the_alternatives_of_a_union_are_one_problem() -> None:
    (problem,) = problems(GOOD + "data: 7\n")
    assert (problem.where, problem.have) == ("job.yaml:6:7", "the number 7")
    assert problem.need == "text or a list"


def test_a_validator_of_the_model_points_at_the_key_it_means() -> None:
    (problem,) = problems(GOOD.replace("sarcasm", "none"))
    assert (problem.where, problem.need, problem.fix) == ("job.yaml:5:14", "a name", "name it")


@pytest.mark.parametrize("word", ["no", "on", "off", "y", "2024-01-01", "12:30:45", "0o", "<<", "="])
def test_words_that_older_yaml_takes_for_something_else_stay_text(word: str) -> None:
    assert parse(GOOD + f"data: {word}\n").data == word


@pytest.mark.parametrize(
    ("source", "where", "said"),
    [
        ("", "job.yaml", "the file is empty"),
        ("name: [a\n", "job.yaml:2:1", "not YAML"),
        ("name: a\n\tb: c\n", "job.yaml:2:1", "not YAML"),
        ("name: \x07\n", "job.yaml:1:7", "the character U+0007 cannot stand in YAML"),
        ("- a\n", "job.yaml:1:1", "`the document` has the wrong type"),
        ("a: &x {b: 1}\nc: *x\n", "job.yaml:1:4", "an alias (*) repeats this part"),
        ("&a [*a]\n", "job.yaml:1:1", "an alias (*) repeats this part"),
        ("name: !!python/object:os.system x\n", "job.yaml:1:7", "has no meaning here"),
        ("name: !!int x\n", "job.yaml:1:7", "has no meaning here"),
        ("? [a]\n: b\n", "job.yaml:1:3", "a key must be text"),
        ('name: "\\ud800"\n', "job.yaml:1:7", "half of a surrogate pair"),
        ("name: " + "9" * 5000, "job.yaml:1:7", "the number is too long"),
        ("a: 1\n---\nb: 2\n", "job.yaml:2:1", "single document"),
        ("[" * 600, "job.yaml", "nested too deeply"),
    ],
)
def test_what_is_no_plain_yaml_is_refused_with_its_place(source: str, where: str, said: str) -> None:
    problem = problems(source)[0]
    assert problem.where == where
    assert said in problem.message


def test_files_that_cannot_be_read_are_errors_for_people(tmp_path: Path) -> None:
    with pytest.raises(TunestackError, match="no such file") as refused:
        load_document(tmp_path / "absent.yaml", Job)
    assert refused.value.exit_status == 2
    (tmp_path / "latin.yaml").write_bytes(b"name: a\nregion: \xe9\n")
    with pytest.raises(TunestackError, match=r"not UTF-8\n  at    .*latin\.yaml:2"):
        load_document(tmp_path / "latin.yaml", Job)


RENDERED = """\
{# a comment
   over two lines #}
{% for number in range(3) %}
# note {{ number }}
{% endfor %}
name: {{ stack }}-sarcasm
region: us-central1
{% if stack == "local" %}
gate: []
{% endif %}
"""


def test_a_template_is_rendered_and_places_lead_back_to_its_source(tmp_path: Path) -> None:
    assert parse(RENDERED, {"stack": "dev"}).name == "dev-sarcasm"
    (problem,) = problems(RENDERED + "gat: []\n", {"stack": "local"})
    assert problem.where == "job.yaml:11:1"
    (tmp_path / "job.yaml").write_text(RENDERED)
    assert place_of(tmp_path / "job.yaml", ("region",), {"stack": "dev"}) == f"{tmp_path / 'job.yaml'}:7:9"


def test_every_undefined_variable_is_told_with_its_line() -> None:
    found = problems(
        "name: {{ stak }}\nregion: {{ stack }}\ndata: {{ nothing }}\n", {"stack": "a", "region": "b"}
    )
    assert [(each.where, each.message, each.fix) for each in found] == [
        ("job.yaml:1", "the variable `stak` is not defined", "write `stack`"),
        ("job.yaml:3", "the variable `nothing` is not defined", ""),
    ]


@pytest.mark.parametrize(
    ("source", "code", "line"),
    [
        ("name: a\n{% for x in %}\n", "template-syntax", 2),
        ("name: a\n\n{{ stack.nope }}\n", "undefined-variable", 3),
        ("name: a\n{{ 1 // 0 }}\n", "template-error", 2),
        ("name: {{ ''.__class__.__mro__ }}\n", "template-error", 1),
        ("{% include 'x' %}\n", "template-error", 1),
    ],
)
def test_faults_of_a_template_are_told_with_their_line(source: str, code: str, line: int) -> None:
    (problem,) = problems(source, {"stack": "local"})
    assert (problem.code, problem.where) == (code, f"job.yaml:{line}")


jobs = st.builds(
    Job,
    name=st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1).filter(
        lambda x: x != "none"
    ),
    region=st.sampled_from(["us-central1", "europe-west4"]),
    learning_rate_multiplier=st.floats(allow_nan=False, allow_infinity=False),
    gate=st.lists(st.builds(Gate, metric=st.just("accuracy"), at_least=st.floats(0, 1))).map(tuple),
)


@given(jobs)
def test_what_is_written_is_read_as_the_same(job: Job) -> None:
    # JSON is YAML, and pydantic writes it with no more quotes and escapes than it needs.
    assert parse_document(job.model_dump_json(), "job.yaml", Job) == job


@given(
    st.text()
    | st.lists(st.sampled_from([*GOOD, *"{}[]&*!|>%@`'\"#\\\t", "{{", "}}", "{%", "%}"])).map("".join)
)
def test_no_text_whatever_gives_a_traceback(text: str) -> None:
    for variables in (None, {"stack": "local"}):
        try:
            parse_document(text, "job.yaml", Job, variables)
        except TunestackError as refused:
            where = [problem.where for problem in refused.problems]
            assert all(each.startswith("job.yaml") for each in where)


@given(st.integers(0, len(GOOD) - 1), st.sampled_from(list("{}[]:-,'\"\n x0#&*")))
def test_no_slip_of_the_pen_gives_a_traceback(at: int, character: str) -> None:
    for text in (GOOD[:at] + character + GOOD[at:], GOOD[:at] + GOOD[at + 1 :]):
        try:
            parse_document(text, "job.yaml", Job)
        except TunestackError as refused:
            assert str(refused)  # noqa: PT017
