"""The tuning template's parameters and what the dataset check finds."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from tunestack.emulator.jobs.templates import TUNE_LARGE_MODEL, find_template
from tunestack.emulator.jobs.tune_large_model import bad_rows

REQUIRED = {"project": "p", "location": "l", "model_display_name": "m"}


def test_a_template_is_known_by_its_name_in_the_path():
    base = "https://us-kfp.pkg.dev/ml-pipeline/large-language-model-pipelines"
    assert find_template(f"{base}/tune-large-model/v2.0.0") is TUNE_LARGE_MODEL
    assert find_template("https://us-kfp.pkg.dev/vertex-ai/x/tune-large-model/sdk-1-25") is TUNE_LARGE_MODEL
    assert find_template(f"{base}/tune-large-chat-model/v3.0.0") is None
    assert find_template("") is None


def test_defaults_are_filled_in_and_whole_numbers_made_whole():
    values = TUNE_LARGE_MODEL.with_defaults({**REQUIRED, "train_steps": 90.0})
    assert (values["train_steps"], values["evaluation_interval"], values["enable_early_stopping"]) == (
        90,
        20,
        True,
    )
    assert isinstance(values["train_steps"], int)


def test_every_wrong_parameter_is_named():
    wrong = {"project": "p", "train_steps": 1.5, "batch_size": 8, "enable_early_stopping": "yes"}
    fields = {field.rpartition(".")[2] for field, _ in TUNE_LARGE_MODEL.violations(wrong)}
    assert fields == {"train_steps", "batch_size", "enable_early_stopping", "location", "model_display_name"}
    assert TUNE_LARGE_MODEL.violations(REQUIRED) == []


@given(
    st.lists(
        st.fixed_dictionaries(
            {"input_text": st.text(min_size=1).filter(str.strip), "output_text": st.just("x")}
        )
    )
)
def test_good_rows_are_counted_and_none_is_blamed(rows):
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    problems, count = bad_rows("gs://b/x", content)
    assert count == len(rows)
    assert problems == ([] if rows else ["gs://b/x: the file has no rows"])


@given(
    st.lists(
        st.sampled_from(['{"input_text": "a", "output_text": "b"}', "{", "[]", '{"input_text": "a"}', ""]),
        min_size=1,
    )
)
def test_every_bad_row_is_found_by_its_line(lines):
    problems, _ = bad_rows("gs://b/x", ("\n".join(lines) + "\n").encode())
    blamed = {int(problem.split(":")[2]) for problem in problems}
    assert blamed == {i for i, line in enumerate(lines, 1) if not line.endswith('"b"}')}
