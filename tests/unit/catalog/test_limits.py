"""What the tuning services take."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunestack.catalog import BASE_MODELS, LIMITS, find_limits, most_validation, validation_limit
from tunestack.catalog.limits_page import limits_page

ROOT = Path(__file__).parents[3]
FORMATS = (
    "supervised",
    "code",
    "chat",
    "gemini",
    "rlhf-prompt",
    "rlhf-preference",
    "gemini-preference",
    "embedding",
)


@pytest.mark.parametrize("model", BASE_MODELS)
def test_every_base_model_has_its_limits(model: str) -> None:
    limits = find_limits(model, "supervised")
    assert limits is not None
    assert (limits.tokens_in, limits.tokens_out) == (8_192, 1_024)


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_has_limits_without_a_model(format: str) -> None:  # noqa: A002
    assert find_limits(None, format) is not None


def test_a_model_stands_once_for_a_format() -> None:
    pairs = [(model, row.format) for row in LIMITS for model in row.models]
    assert len(pairs) == len(set(pairs))


def test_no_figure_stands_without_a_source() -> None:
    for row in LIMITS:
        if row.tokens_in or row.tokens_out or row.tokens_together:
            assert row.tokens_source.where != "none found", row.family
        if row.files or row.validation.most or row.most_bytes or row.labelled_queries:
            assert row.rows_source.where != "none found", row.family


def test_the_page_for_people_says_what_the_table_says() -> None:
    page = (ROOT / "docs/dataset-limits.md").read_text("utf-8")
    assert page == limits_page(), "stale: python -m tunestack.catalog.limits_page > docs/dataset-limits.md"


def test_gemini_validates_on_5000_rows_at_most_and_on_1000_beside_few() -> None:
    gemini = find_limits("gemini-2.5-flash", "gemini")
    assert gemini is not None
    assert [most_validation(gemini, trained) for trained in (10, 3_333, 3_337, 20_000)] == [
        1_000,
        1_000,
        1_001,
        5_000,
    ]
    assert [validation_limit(gemini, rows) for rows in (10, 4_340, 13_000, 1_000_000)] == [
        10,
        1_001,
        3_000,
        5_000,
    ]


@given(row=st.sampled_from(LIMITS), rows=st.integers(0, 20_000_000))
def test_a_split_at_the_limit_is_one_that_the_service_takes_and_one_row_more_is_not(
    row: object, rows: int
) -> None:
    limit = validation_limit(row, rows)
    assert 0 <= limit <= rows
    most = most_validation(row, rows - limit)
    assert most is None or limit <= most
    if limit < rows:
        most = most_validation(row, rows - limit - 1)
        assert most is not None
        assert limit + 1 > most
