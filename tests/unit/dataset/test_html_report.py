"""The report as a page: whole, self-contained, harmless."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunestack.catalog.limits import find_limits
from tunestack.dataset.findings import CODES, Finding
from tunestack.dataset.histogram import HEIGHT, WIDTH, charts
from tunestack.dataset.html_report import html_report, worst_rows
from tunestack.dataset.report import Report
from tunestack.dataset.row_texts import RowText
from tunestack.dataset.rules import Ledger
from tunestack.dataset.sources.source import SourceDigests
from tunestack.dataset.statistics import Statistics
from tunestack.dataset.tokens import TokenTotal

VOID = {"meta", "br", "hr", "img", "link", "input"}
DRAWN = {"rect", "line"}  # written as <rect …/>
EVIL = '<script>alert("x")</script><img src=x onerror=alert(1)>&lt;'


class Page(HTMLParser):
    """What a browser would make of the page: elements, well nested, and their text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attributes}))
        if tag not in VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert tag in DRAWN
        self.elements.append((tag, {name: value or "" for name, value in attributes}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in set(self.open):
            self.texts[tag][-1] += data

    def said(self, tag: str) -> list[str]:
        return [" ".join(text.split()) for text in self.texts.get(tag, [])]


def finding(
    line: int, column: int, code: str, path: str, message: str, text: str, fix: str = "mend it"
) -> Finding:
    start = max(0, column - 13)
    excerpt = ("…" if start else "") + text[start : column + 35] + ("…" if column + 35 < len(text) else "")
    return Finding("records.jsonl", line, column, code, path, message, fix, excerpt)


ROW = '{"text": "dry for days", "label": "dri"}'


def bad_report() -> Report:
    evil = '{"text": "' + EVIL.replace('"', "'") + '"}'
    found = [
        finding(4, 10, "personal-data", "$.text", "an address", ROW.replace("dry", "a•••@b")),
        finding(5, 35, "unknown-label", "$.label", '"dri" is none of the labels', ROW),
        finding(5, 10, "conflicting-rows", "$.text", "line 1 answers the same prompt with “wet”", ROW),
        finding(7, 10, "json-syntax", "$", EVIL, evil, EVIL),
        Finding("records.jsonl", 0, 0, "class-balance", "", '"dry" has 1 of 40 rows', "add rows"),
    ]
    report = Report.of(found)
    report.statistics = {
        "records": Statistics(3, 99, {"prompt": Counter({EVIL_LENGTH: 3})}, Counter({EVIL: 3}))
    }
    report.sources = [SourceDigests("records.jsonl", 1_000, "ab" * 32, "yZRlqg==")]
    return report


EVIL_LENGTH = len(EVIL)


def good_report() -> Report:
    return Report(
        statistics={
            "train": Statistics(
                100, 9_000, {"prompt": Counter({12: 90, 40: 9, 800: 1})}, Counter(wet=60, dry=40)
            ),
            "held-out-plain": Statistics(10, 900, {"prompt": Counter({12: 10})}, None),
        },
        sources=[SourceDigests("gs://bucket/records.jsonl", 12_345, "ab" * 32, "yZRlqg==", 1712)],
        ledger=Ledger(112, 110, Counter({"duplicate-row": 2}), Counter({"strip": 1})),
        tokens={"train": TokenTotal(812, 0, 3_200, "estimated")},
        checked={"near-leakage"},
        limits=find_limits(None, "supervised"),
    )


def test_every_finding_is_on_the_page_with_its_place_its_excerpt_and_its_fix() -> None:
    report = bad_report()
    page = Page(html_report(report, title="weather"))
    assert page.said("title")[0] == "5 findings · weather"
    rows = page.said("tr")
    for found in report.findings:
        row = next(row for row in rows if found.where in row and " ".join(found.message.split()) in row)
        assert found.path in row
        if found.code != "personal-data":
            assert found.excerpt in row
    details = page.said("details")
    assert [text.split()[0] for text in details] == [
        "json-syntax",
        "unknown-label",
        "conflicting-rows",
        "class-balance",
        "personal-data",
    ]
    for found in report.findings:
        assert any(text.startswith(found.code) and found.fix in text for text in details)
        assert any(found.code in row and CODES[found.code] in row for row in rows)


def test_no_text_of_a_dataset_becomes_a_part_of_the_page() -> None:
    report = bad_report()
    texts = {("records.jsonl", 7): RowText('{"text": "' + EVIL + '"}')}
    page = Page(html_report(report, title=EVIL, texts=texts))
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "img", "iframe", "object", "link", "base", "form"}
    assert page.said("h1") == [EVIL]
    assert any("<script>alert(" in text and "onerror=alert(1)>&lt;" in text for text in page.said("pre"))
    assert EVIL in page.said("bdi")


@pytest.mark.parametrize("report", [bad_report(), good_report()])
def test_the_page_asks_nobody_for_anything(report: Report) -> None:
    source = html_report(report)
    page = Page(source)
    for tag, attributes in page.elements:
        assert not {"src", "srcset", "action", "data", "poster", "xlink:href"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
        assert attributes.get("href", "#").startswith("#")
        assert tag != "link"
    assert "@import" not in source
    assert "url(" not in source
    policy = next(each for _, each in page.elements if each.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"


@pytest.mark.parametrize("report", [bad_report(), good_report()])
def test_every_reference_within_the_page_leads_somewhere(report: Report) -> None:
    page = Page(html_report(report))
    names = Counter(attributes["id"] for _, attributes in page.elements if "id" in attributes)
    assert set(names.values()) == {1}
    for _, attributes in page.elements:
        for name in [attributes.get("href", "")[1:], *attributes.get("aria-labelledby", "").split()]:
            assert not name or name in names


def test_the_worst_rows_are_shown_in_full_with_each_bad_place_marked() -> None:
    report = bad_report()
    assert worst_rows(report) == [("records.jsonl", 5), ("records.jsonl", 4), ("records.jsonl", 7)]
    page = Page(html_report(report, texts={("records.jsonl", 5): RowText(ROW + "\n")}))
    article = next(text for text in page.said("article") if text.startswith("records.jsonl:5"))
    assert '{"text": "dry for days"1, "label": "dri"2}' in article
    marks = [text for text in page.said("mark") if text[-1] in "12"]
    assert marks == ['"dry for days"1', '"dri"2']


def test_a_row_of_a_table_is_marked_by_its_fields() -> None:
    report = bad_report()
    page = Page(html_report(report, texts={("records.jsonl", 5): RowText('{"label":"dri","text":"dry"}', 0)}))
    assert [text for text in page.said("mark") if text[-1] in "12"] == ['"dri"2', '"dry"1']


def test_no_page_spreads_personal_data_or_secrets() -> None:
    texts = {("records.jsonl", line): RowText(ROW.replace("dry", "ada@example.org")) for line in (4, 5)}
    report = bad_report()
    report.merge(Report.of([finding(4, 25, "unknown-label", "$.label", "none", "ada@example.org" * 3)]))
    page = html_report(report, texts={("records.jsonl", 4): texts["records.jsonl", 4]})
    assert "ada@example.org" not in page
    report.counts["secret"] = 2_000  # more than the report has places for: any row may hold one
    assert "ada@example.org" not in html_report(report, texts=texts)


def test_only_checks_that_were_made_are_said_to_have_found_nothing() -> None:
    page = Page(html_report(good_report()))
    assert [text for text in page.said("li") if text.startswith("none")] == [
        f"none {CODES[code]}" for code in ("duplicate-row", "conflicting-rows", "near-leakage")
    ]


def test_a_good_dataset_shows_its_figures() -> None:
    page = Page(html_report(good_report(), title="weather"))
    assert page.said("title")[0] == "Good · weather"
    text = page.said("body")[0]
    for said in (
        "The dataset is good: nothing was found.",
        "110",
        "12.3 kB",
        "BLAKE3 " + "ab" * 32,
        "CRC32C yZRlqg==",
        "generation 1712",
        "60.0 %",
        "about 812 tokens (an estimate",
        "the shortest prompt has 12 characters, half have at most 12, 95 % at most 40, the longest has 800",
        "The limit is 8,192 tokens, about 32,768 characters.",
    ):
        assert said in text, said
    assert "dropped−2duplicate-row" in page.said("tr")
    for tag, attributes in page.elements:
        if tag == "svg":
            assert attributes["role"] == "img"
            assert len(attributes["aria-labelledby"].split()) == 2


def test_the_same_report_gives_the_same_bytes() -> None:
    assert html_report(bad_report()) == html_report(bad_report())


def test_an_empty_report_is_a_page_too() -> None:
    assert Page(html_report(Report())).said("h1") == ["Dataset"]


@given(st.text(st.characters(exclude_categories=[]), max_size=60), st.integers(0, 70))
@settings(max_examples=30, deadline=None)
def test_any_text_at_all_is_shown_without_hiding_or_moving_what_is_around_it(text: str, column: int) -> None:
    found = finding(1, column, "wrong-type", "$.text", text, text, text)
    page = html_report(Report.of([found]), title=text, texts={("records.jsonl", 1): RowText(text)})
    assert page.encode()  # no half of a character is left
    Page(page)
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200f\u202a-\u202e\u2066-\u2069]", page)


@given(
    st.dictionaries(st.integers(0, 10**7), st.integers(1, 10**9), min_size=1, max_size=40),
    st.sampled_from([None, find_limits(None, "supervised"), find_limits(None, "gemini")]),
)
@settings(max_examples=80, deadline=None)
def test_a_histogram_shows_every_row_inside_its_drawing(lengths: dict[int, int], limits: object) -> None:
    parts = {"train": Statistics(1, 1, {"prompt": Counter(lengths)})}
    (chart,) = charts("prompt", parts, limits)  # type: ignore[arg-type]
    assert sum(int(bar.title.split(": ")[1].split()[0].replace(",", "")) for bar in chart.bars) == sum(
        lengths.values()
    )
    for bar in chart.bars:
        assert -0.01 <= bar.x <= WIDTH + 0.01
        assert 0 <= bar.y <= HEIGHT
        assert bar.width > 0
    assert all(0 <= mark.x <= WIDTH for mark in [*chart.marks, *chart.ticks])
    assert chart.ticks
