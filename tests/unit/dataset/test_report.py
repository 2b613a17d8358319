"""The report as a value, for a terminal and as JSON."""

from __future__ import annotations

import json
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tunestack.dataset.findings import CODES, DatasetRefused, Finding
from tunestack.dataset.report import FAMILIES, Report, json_report, shares, terminal_report
from tunestack.dataset.rules import Ledger
from tunestack.dataset.sources.source import SourceDigests
from tunestack.dataset.statistics import Statistics
from tunestack.dataset.tokens import TokenTotal

LABEL = '{"text": "dry for days", "label": "dri"}'


def finding(line: int, code: str = "unknown-label", file: str = "records.jsonl", **more: str) -> Finding:
    values = {"path": "$.label", "message": '"dri" is none of the labels', "fix": "write `dry`"} | more
    return Finding(file, line, 35, code, excerpt='…", "label": "dri"}', **values)


def good_report() -> Report:
    lengths = {"prompt": Counter({12: 90, 40: 9, 800: 1}), "answer": Counter({3: 100})}
    return Report(
        statistics={
            "validation": Statistics(10, 900, {"prompt": Counter({12: 10})}, None),
            "train": Statistics(100, 9_000, lengths, Counter(wet=60, dry=40)),
        },
        sources=[SourceDigests("records.jsonl", 12_345, "ab" * 32, "yZRlqg==")],
        ledger=Ledger(112, 110, Counter({"duplicate-row": 2}), Counter({"strip": 1})),
        tokens={"train": TokenTotal(812, 0, 3_200, "estimated")},
    )


def test_every_code_is_in_one_family() -> None:
    families = [code for codes in FAMILIES.values() for code in codes]
    assert sorted(families) == sorted(CODES)


def test_a_bad_dataset_is_told_of_by_code_with_places_excerpts_and_fixes() -> None:
    report = Report.of(
        [
            finding(
                12, "leakage", path="$.text", message="line 3 is trained on", fix="delete it", file="h.jsonl"
            ),
            finding(4),
            finding(10, fix="write one of the labels"),
        ]
    )
    assert (
        terminal_report(report)
        == """\
unknown-label · 2 findings · a target is one of the declared labels
  records.jsonl:4:35   $.label  "dri" is none of the labels  …", "label": "dri"}  → write `dry`
  records.jsonl:10:35  $.label  "dri" is none of the labels  …", "label": "dri"}  → write one of the labels

leakage · 1 finding · no held-out prompt is trained on
  h.jsonl:12:35  $.text  line 3 is trained on  …", "label": "dri"}
  fix: delete it

3 findings in 3 lines of 2 files. Mend them, then run the same command again."""
    )


def test_of_a_good_dataset_a_few_lines_say_what_it_consists_of() -> None:
    assert (
        terminal_report(good_report())
        == f"""\
The dataset is good: nothing was found.
  train       100 rows · prompt 12 characters (p95 40, longest 800), answer 3 characters (p95 3, longest 3)
              labels: wet 60, dry 40
              {TokenTotal(812, 0, 3_200, "estimated")}
  validation  10 rows · prompt 12 characters (p95 12, longest 12)
  rules       112 rows in, 110 out; dropped: duplicate-row 2; repaired: strip 1
  source      records.jsonl · 12,345 bytes · blake3 abababababababab"""
    )


def test_for_machines_findings_counts_and_figures_stand_under_their_own_keys() -> None:
    report = good_report()
    report.merge(Report.of([finding(4)]))
    document = json.loads(json.dumps(json_report(report)))
    assert document["findings"] == [
        {
            "file": "records.jsonl",
            "line": 4,
            "column": 35,
            "code": "unknown-label",
            "path": "$.label",
            "message": '"dri" is none of the labels',
            "fix": "write `dry`",
            "excerpt": '…", "label": "dri"}',
        }
    ]
    assert (document["counts"], document["total"]) == ({"unknown-label": 1}, 1)
    assert document["statistics"]["train"]["labels"] == {"dry": 40, "wet": 60}
    assert document["statistics"]["train"]["lengths"]["prompt"]["p95"] == 40
    assert document["sources"][0]["crc32c"] == "yZRlqg=="
    assert document["ledger"]["rows_in"] == 112
    assert document["tokens"]["train"]["how"] == "estimated"


def test_a_report_keeps_the_first_thousand_of_each_code_and_counts_the_rest() -> None:
    report = Report.of([*(finding(line) for line in range(1_200, 0, -1)), finding(9_999, "leakage")])
    assert [found.line for found in report.findings] == [*range(1, 1_001), 9_999]
    assert report.counts == {"unknown-label": 1_200, "leakage": 1}
    assert report.total == 1_201


def test_what_is_rare_is_not_crowded_off_the_screen() -> None:
    assert shares({"many": 5_000, "some": 400, "few": 3}, 1_000) == {"few": 3, "some": 400, "many": 597}
    assert shares({"a": 900, "b": 900, "c": 900}, 1_000) == {"a": 333, "b": 333, "c": 334}
    assert shares({}, 1_000) == {}


def test_a_refusal_carries_the_report() -> None:
    report = Report.of([finding(4)])
    refused = DatasetRefused(report)
    assert refused.report is report
    assert str(refused) == terminal_report(report)


findings = st.lists(
    st.builds(
        Finding,
        st.sampled_from(["a", "b"]),
        st.integers(0, 3),
        st.integers(0, 2),
        st.sampled_from(["leakage", "secret"]),
        st.sampled_from(["$", "$.x"]),
        st.text(max_size=2),
        st.text(max_size=1),
    ),
    max_size=8,
)


@given(findings, findings, findings)
def test_reports_merge_to_the_same_in_any_order_and_grouping(
    one: list[Finding], two: list[Finding], three: list[Finding]
) -> None:
    whole = Report.of(one + two + three)
    left, right, last = Report.of(two), Report.of(one), Report.of(three)
    left.merge(right)
    left.merge(last)
    inner = Report.of(two)
    inner.merge(Report.of(three))
    right = Report.of(one)
    right.merge(inner)
    assert left == right == whole
