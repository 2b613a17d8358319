"""Filters of Cloud Logging: the laws that hold for any entry."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tunestack.emulator.services.cloud_logging_filter import SEVERITIES, parse

TERMS = st.sampled_from(
    [
        *(f"severity{operator}{severity}" for operator in (">=", "<", "=", "!=") for severity in SEVERITIES),
        'textPayload:"out"',
        'textPayload =~ "^o.t$"',
        "labels.job=a",
        "labels.job:*",
        "jsonPayload.step>3",
        '"out"',
        'log_id("app")',
        'SEARCH("out of")',
        "severity=(ERROR OR INFO)",
    ]
)
ENTRIES = st.fixed_dictionaries(
    {"logName": st.sampled_from(["projects/p/logs/app", "projects/p/logs/other"])},
    optional={
        "severity": st.sampled_from(SEVERITIES),
        "textPayload": st.sampled_from(["out", "Out of memory", "fine"]),
        "labels": st.fixed_dictionaries({}, optional={"job": st.sampled_from(["a", "b"])}),
        "jsonPayload": st.fixed_dictionaries({}, optional={"step": st.integers(0, 9)}),
    },
)


@given(TERMS, ENTRIES)
def test_a_term_or_its_negation_holds(term, entry):
    assert parse(term)(entry) is not parse(f"NOT {term}")(entry)
    assert parse(f"NOT ({term})")(entry) is parse(f"NOT {term}")(entry)


@given(TERMS, TERMS, TERMS, ENTRIES)
def test_terms_join_as_google_joins_them(one, two, three, entry):
    a, b, c = (parse(term)(entry) for term in (one, two, three))
    assert parse(f"{one} AND {two}")(entry) is (a and b)
    assert parse(f"{one}\n{two}")(entry) is (a and b)
    assert parse(f"{one} OR {two}")(entry) is (a or b)
    # OR binds more tightly than AND.
    assert parse(f"{one} OR {two} AND {three}")(entry) is ((a or b) and c)
    assert parse(f"{one} OR ({two} AND {three})")(entry) is (a or (b and c))


@given(st.sampled_from(SEVERITIES), st.sampled_from(SEVERITIES))
def test_severities_go_by_their_order(have, want):
    entry = {"logName": "projects/p/logs/app", "severity": have}
    assert parse(f"severity>={want}")(entry) is (SEVERITIES.index(have) >= SEVERITIES.index(want))
