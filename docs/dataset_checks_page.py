"""The page on every check: `python docs/dataset_checks_page.py > docs/dataset-checks.md`.

Each example is made in an empty folder and checked there; what the page shows is what the check really said. A test
holds the page to this program.
"""

from __future__ import annotations

import gzip
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tunestack.catalog.limits import find_limits
from tunestack.dataset.check import check_dataset, check_files
from tunestack.dataset.findings import CODES, Finding
from tunestack.dataset.fix import fixes
from tunestack.dataset.limits import file_findings
from tunestack.dataset.report import FAMILIES, Report, terminal_report
from tunestack.dataset.rules import DROPPABLE
from tunestack.dataset.sources import open_source

HEAD = """# What is checked

Written by `python docs/dataset_checks_page.py > docs/dataset-checks.md`, which runs every example on this page; a test
holds the two together. What the services take, with sources: [dataset-limits.md](dataset-limits.md).

Every row is looked at and every finding is told, each with a stable code, its `file:line:column` (lines and columns
count from 1, columns in characters), the JSON path of the value, an excerpt, and the fix. A dataset with any finding
is refused: nothing is dropped, cut or repaired unless `rules` in `dataset.yaml` says so (the column *drop*: whether
`rules.drop` may name the code; the row is then left out and the ledger says how many). `tunestack dataset check --fix`
writes a patch for what can be mended without a doubt about what was meant (the column *fix*), shows it, and leaves
applying it to you.

In a terminal at most 1,000 findings are listed, some of each code; `--json` has up to 1,000 of each code, and all
counts. `--html FILE` writes the report as one page.
"""


@dataclass
class Example:
    """``files`` lie in an empty folder; the first is shown unless ``shown`` names another. ``output`` None: there is
    no example of few bytes; ``made`` gives the findings directly. ``fix`` says what `--fix` mends of the code."""

    why: str
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    format: str = "supervised"
    shown: str = ""
    made: list[Finding] | None = None
    fix: str = ""
    note: str = ""


class StaleExample(Exception):
    """An example that does not show what it is an example of."""


def weather(
    extra: str = "", *, records: str, template: str = "Wet or dry? {{ text }}", **files: str
) -> dict[str, str]:
    """A dataset folder whose `dataset.yaml` has these lines more."""
    held_out = {name.replace("__", "/") + ".jsonl": content for name, content in files.items()}
    return {
        "records.jsonl": records,
        "dataset.yaml": f"""\
name: weather
description: Remarks about the weather.
format: supervised
records: records.jsonl
columns: {{text: string, label: string}}
template: template.j2
output_text: "{{{{ label }}}}"
labels: [wet, dry]
{extra}""",
        "template.j2": template,
    } | held_out


TEA = '{"_id": "d1", "text": "Tea"}\n'


def search(
    *,
    corpus: str = TEA,
    train: str = "query-id\tcorpus-id\tscore\nq1\td1\t1\n",
) -> dict[str, str]:
    """An embedding dataset."""
    return {
        "corpus.jsonl": corpus,
        "queries.jsonl": '{"_id": "q1", "text": "Tea?"}\n',
        "train.tsv": train,
        "dataset.yaml": "name: search\ndescription: Questions and answers.\nformat: embedding\nembedding: "
        "{queries: queries.jsonl, corpus: corpus.jsonl, train_labels: train.tsv}\n",
    }


ROW = '{"text": "The gutters sing.", "label": "wet"}\n'
DRY = '{"text": "Dust again.", "label": "dry"}\n'
LONG = "The forecast for the coast says rain until noon, wind from the west and a chance of hail"
KEY = "AKIA" + "Z3MQ7R2TN5X8W4VB"  # nobody's; the page shows only how it begins
BALANCED = "".join(f'{{"text": "Remark {n}.", "label": "{"wet" if n % 2 else "dry"}"}}\n' for n in range(8))


def _limit(part: str, **figures: int) -> list[Finding]:
    limits = find_limits(None, "gemini")
    if limits is None:
        raise StaleExample("the catalog has no limits of gemini")
    return list(file_findings(limits, f"{part}.jsonl", part, **figures))  # type: ignore[arg-type]


EXAMPLES: dict[str, Example] = {
    # --- files
    "file-unreadable": Example(
        "A file that `dataset.yaml` names is not there or cannot be read. (A finished file that cannot be read is no "
        "finding: the check cannot run, exit status 2.)",
        weather("held_out: {plain: held-out/plain.jsonl}", records=ROW + DRY),
        shown="dataset.yaml",
    ),
    "compression": Example(
        "A `.gz` or `.zst` file that breaks off, is damaged, or is packed twice: the rows after that are lost.",
        {"train.jsonl.gz": gzip.compress(b'{"input_text": "a", "output_text": "b"}\n' * 40, mtime=0)[:-12]},
    ),
    "generation": Example(
        "An object is named with its generation, so that what is tuned on is what was checked. This one is gone, or "
        "the object has a newer one.",
    ),
    "no-rows": Example("A file without a single record.", {"train.jsonl": ""}),
    "not-json-lines": Example(
        "A record over several lines, or two files in one: the file is no JSON Lines. (A JSON list, CSV and Parquet "
        "are read as what they are.)",
        {"train.jsonl": '{\n  "input_text": "a",\n  "output_text": "b"\n}\n'},
    ),
    "table-syntax": Example(
        "A table without a header, or a row that has more or fewer cells than the header: its cells would shift.",
        {"train.csv": "input_text,output_text\nTea?,Yes.\nMilk, or not?,No.\n"},
    ),
    "encoding": Example(
        "Bytes that are not UTF-8. Most often the file was saved as Latin-1 or Windows-1252.",
        {"train.jsonl": b'{"input_text": "Caf\xe9?", "output_text": "Yes."}\n'},
    ),
    "byte-order-mark": Example(
        "Three invisible bytes before the first record; some parsers skip them, others refuse the line.",
        {"train.jsonl": '\ufeff{"input_text": "Tea?", "output_text": "Yes."}\n'},
        fix="takes it away",
        note="`rules.repair: [byte-order-mark]` passes it over.",
    ),
    "blank-line": Example(
        "A line without a record. Some readers skip it, others count it as a row.",
        {"train.jsonl": '{"input_text": "Tea?", "output_text": "Yes."}\n\n'},
        fix="deletes it",
        note="`rules.repair: [blank-line]` passes it over.",
    ),
    "truncated-line": Example(
        "The last record breaks off: the file was not written to its end, so there may be records that are missing.",
        {"train.jsonl": '{"input_text": "Tea?", "output_text": "Yes."}\n{"input_text": "Mi'},
    ),
    "json-syntax": Example(
        "A line that is not JSON. `NaN` and `Infinity` are not JSON either, and two records on a line are one too "
        "many.",
        {"train.jsonl": '{"input_text": "Tea?", \'output_text\': "Yes."}\n'},
        fix="takes away a comma after the last value, escapes raw control characters, parts two records on a line",
    ),
    # --- fields and values
    "not-an-object": Example(
        "A record is an object: fields with names.",
        {"train.jsonl": '{"input_text": "Tea?", "output_text": "Yes."}\n["Milk?", "No."]\n'},
    ),
    "duplicate-key": Example(
        "A field that stands twice: every parser keeps one of the two, not all the same one.",
        {"train.jsonl": '{"input_text": "Tea?", "output_text": "Yes.", "output_text": "No."}\n'},
        fix="takes the second away where both say the same",
    ),
    "unknown-field": Example(
        "A field that the format or `columns` does not have, most often a misspelt one.",
        {"train.jsonl": '{"input_text": "Tea?", "ouput_text": "Yes."}\n'},
        fix="renames it where exactly one missing field can be meant",
    ),
    "missing-field": Example(
        "A record without one of its fields. `null` is no value: it is a `wrong-type`.",
        {"train.jsonl": '{"input_text": "Tea?"}\n'},
    ),
    "wrong-type": Example(
        "A number where text is wanted, a text where a list is wanted, `null`.",
        {"train.jsonl": '{"input_text": "How many?", "output_text": 3}\n'},
        fix="puts numbers and truth values into quotes where text is wanted, and the other way round",
    ),
    "empty-text": Example(
        "A text that is empty or nothing but spaces teaches the model to say nothing.",
        {"train.jsonl": '{"input_text": "Tea?", "output_text": "  "}\n'},
    ),
    "lone-surrogate": Example(
        "Half of a character outside the Basic Multilingual Plane, left when a text was cut by UTF-16 units. It "
        "cannot be written as UTF-8.",
        {"train.jsonl": r'{"input_text": "Tea? \ud83c", "output_text": "Yes."}' + "\n"},
    ),
    "unknown-label": Example(
        "With `labels`, a target that is none of them.",
        weather(records=ROW + '{"text": "Dust again.", "label": "dyr"}\n'),
    ),
    "duplicate-id": Example(
        "Embedding: two texts with the same `_id`: a label that names it means both.",
        search(corpus=TEA + '{"_id": "d1", "text": "Milk"}\n'),
    ),
    "unknown-id": Example(
        "Embedding: a label that names a query or a text that is not there.",
        search(train="query-id\tcorpus-id\tscore\nq1\td9\t1\n"),
        shown="train.tsv",
    ),
    # --- prompts and conversations
    "template-error": Example(
        "A template that is not Jinja2, names something that is no column, or cannot render a record.",
        weather(records=ROW + DRY, template="Wet or dry? {{ remark }}"),
        shown="template.j2",
    ),
    "instruction-missing": Example(
        "The prompt is the bare text: the model is not told what to do with it. Put the instruction into the "
        "template, or into `context`.",
        weather(records=ROW + DRY, template="{{ text }}"),
    ),
    "unknown-role": Example(
        "An author or role that the format does not know. PaLM 2 chat has `user` and `assistant`, Gemini `user` and "
        "`model`.",
        {
            "train.jsonl": '{"messages": [{"author": "user", "content": "Tea?"}, {"author": "bot", "content": '
            '"Yes."}]}\n'
        },
        format="chat",
    ),
    "roles-out-of-turn": Example(
        "User and model take turns; what is trained on ends with the model, a prompt alone with the user.",
        {
            "train.jsonl": '{"messages": [{"author": "user", "content": "Tea?"}, {"author": "user", "content": '
            '"Hello?"}]}\n'
        },
        format="chat",
    ),
    "equal-candidates": Example(
        "Both candidates are the same: there is nothing to prefer.",
        {
            "train.jsonl": '{"input_text": "Tea?", "candidate_0": "Yes.", "candidate_1": "Yes.", "choice": 1}\n'
        },
        format="rlhf-preference",
    ),
    "choice-out-of-range": Example(
        "The preferred candidate is 0 or 1, not counted from 1.",
        {"train.jsonl": '{"input_text": "Tea?", "candidate_0": "Yes.", "candidate_1": "No.", "choice": 2}\n'},
        format="rlhf-preference",
    ),
    "scores": Example(
        "Gemini preference: one completion has the score 1, the other 0.",
        {
            "train.jsonl": '{"contents": [{"role": "user", "parts": [{"text": "Tea?"}]}], "completions": [{"score": '
            '1.0, "completion": {"role": "model", "parts": [{"text": "Yes."}]}}, {"score": 1.0, "completion": {"role": '
            '"model", "parts": [{"text": "No."}]}}]}\n'
        },
        format="gemini-preference",
    ),
    # --- repeats
    "duplicate-row": Example(
        "The same prompt with the same answer again; told on every row but the first. Compared is the decoded text: "
        "other escapes or another order of the fields make no other row.",
        {
            "train.jsonl": '{"input_text": "Café?", "output_text": "Yes."}\n'
            r'{"output_text": "Yes.", "input_text": "Caf\u00e9?"}' + "\n"
        },
        fix="deletes all but the first",
    ),
    "conflicting-rows": Example(
        "The same prompt with another answer. In a generation set that may be meant: then say so with "
        "`rules.drop`, or give the prompts something that tells them apart.",
        {
            "train.jsonl": '{"input_text": "Tea?", "output_text": "Yes."}\n{"input_text": "Tea?", "output_text": '
            '"No."}\n'
        },
    ),
    "leakage": Example(
        "A held-out prompt that is also trained on: its score would be of memory.",
        weather("held_out: {plain: held-out/plain.jsonl}", records=ROW + DRY, **{"held-out__plain": ROW}),
        shown="held-out/plain.jsonl",
    ),
    "near-duplicate": Example(
        "Two prompts that are nearly the same: of all their word 5-grams, more than `checks.near_duplicates` "
        "are in both. Not looked for unless that is set.",
        weather(
            "checks: {near_duplicates: 0.8}",
            records=f'{{"text": "{LONG}.", "label": "wet"}}\n{{"text": "{LONG}!", "label": "wet"}}\n',
        ),
    ),
    "near-leakage": Example(
        "A held-out prompt that is nearly one that is trained on (`checks.near_leakage`, 0.8 by default).",
        weather(
            "held_out: {plain: held-out/plain.jsonl}",
            records=DRY + f'{{"text": "{LONG}.", "label": "wet"}}\n',
            **{"held-out__plain": f'{{"text": "{LONG} too.", "label": "wet"}}\n'},
        ),
        shown="held-out/plain.jsonl",
    ),
    # --- limits
    "too-few-rows": Example("Fewer rows than the service takes a job for.", search()),
    "too-many-rows": Example(
        "More rows than the service takes, to train or to validate on. Here a file of 6,000 rows to validate on:",
        made=_limit("validation", rows=6_000, size=1_000_000, trained=100_000),
    ),
    "file-too-large": Example(
        "A compiled file with more bytes than the service takes. Here one of 1.2 GB:",
        made=_limit("train", rows=1_000_000, size=1_200_000_000),
    ),
    "token-limit": Example(
        "A row that is longer than the model takes; the service would cut it or refuse the job. A row with fewer "
        "bytes than the limit has tokens is proved short enough; what is not proved is counted with "
        "`checks.tokenizer` or `--exact-tokens`, else estimated, and the message says which.",
        {"train.jsonl": f'{{"input_text": "{"tea and milk " * 3_000}", "output_text": "Yes."}}\n'},
    ),
    "class-balance": Example(
        "With `labels`, one that has less than `checks.minimum_label_share` of the rows (0.05 by default).",
        weather(
            "checks: {minimum_label_share: 0.2}",
            records=BALANCED.replace('"dry"', '"wet"').replace('"wet"', '"dry"', 1),
        ),
    ),
    "split-too-large": Example(
        "`split.validation` leaves nothing to train on, or is more than the service validates on.",
        weather("split: {validation: 2}", records=ROW + DRY),
        shown="dataset.yaml",
    ),
    # --- personal data
    "personal-data": Example(
        "An e-mail address, a phone number, an account, a card, an identity number, the address of a machine. What "
        "may stay goes to `allow.yaml` with a reason. In bare files: `--personal-data`.",
        weather(records=ROW + '{"text": "Ask ada.lovelace@tunestack.dev about dust.", "label": "dry"}\n'),
    ),
    "secret": Example(
        "A password, key or token, in the shape that its service gives it. A model that was trained on it may say "
        "it to anyone: take it out, and revoke it.",
        weather(records=ROW + f'{{"text": "Use {KEY} for the dust feed.", "label": "dry"}}\n'),
    ),
    "allow-list": Example(
        "An entry of `allow.yaml` that allows nothing: what it was written for is gone, or it is misspelt.",
        weather(records=ROW + DRY)
        | {
            "allow.yaml": "allow:\n  - {kind: email-address, text: help@tunestack.dev, reason: our own address}\n"
        },
        shown="allow.yaml",
    ),
}


def page() -> str:
    """The whole page, ending with a line feed."""
    sections = [HEAD]
    table = ["| code | rule | drop | fix |", "|---|---|---|---|"]
    for family, codes in FAMILIES.items():
        sections.append(f"## {family}\n")
        for code in codes:
            example = EXAMPLES[code]
            drop = "yes" if code in DROPPABLE else ""
            table.append(f"| [`{code}`](#{code}) | {CODES[code]} | {drop} | {'yes' if example.fix else ''} |")
            sections.append(_section(code, example))
    return "\n".join([sections[0], *table, "", *sections[1:]]).rstrip() + "\n"


def _section(code: str, example: Example) -> str:
    lines = [f"### {code}\n", f"*{CODES[code][0].upper()}{CODES[code][1:]}.* {example.why}\n"]
    if example.files:
        shown = example.shown or next(iter(example.files))
        content = example.files[shown]
        text = content.decode("latin-1") if isinstance(content, bytes) else content
        if shown.endswith(".gz"):
            lines.append(f"A file `{shown}` whose last bytes are missing:\n")
        elif text:
            lines += [f"```\n{_visible(text)}```\n"]
    if (report := _report(example)) is not None:
        lines.append(f"```text\n{_told(report, code)}\n```\n")
    can = [f"`--fix` {example.fix}." if example.fix else ""]
    can.append("`rules.drop` may name it." if code in DROPPABLE else "")
    can.append(example.note)
    lines.append(" ".join(filter(None, can)) + "\n" if any(can) else "")
    return "\n".join(filter(None, lines))


def _visible(text: str) -> str:
    """A file as a page can show it: cut where it is long, tabs as arrows, with one line feed at the end."""
    text = text.replace(KEY, f"{KEY[:6]}…")
    lines = [line if len(line) <= 160 else f"{line[:100]} …" for line in text.rstrip("\n").split("\n")]
    return (
        "\n".join(lines).replace("\ufeff", "\u27e8BOM\u27e9").replace("\t", " → ")
        + "\n"
        + "\n" * text.endswith("\n\n")
    )


def _told(report: Report, code: str) -> str:
    """What the terminal says about the code."""
    if not report.counts[code]:
        raise StaleExample(f"the example of {code} gives {dict(report.counts)}")
    of_code = Report.of(found for found in report.findings if found.code == code)
    lines = terminal_report(of_code).splitlines()[:-2]
    return "\n".join(line if len(line) <= 200 else f"{line[:199]}…" for line in lines)


def _report(example: Example) -> Report | None:
    if example.made is not None:
        return Report.of(example.made)
    if not example.files:
        return None
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            for name, content in example.files.items():
                Path(name).parent.mkdir(exist_ok=True)
                Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
            if Path("dataset.yaml").exists():
                report = check_dataset(Path())
            else:
                report = check_files([next(iter(example.files))], format=example.format)
            if example.fix and not _mended(report):
                raise StaleExample(f"--fix does not mend {report.findings}")
            return report
        finally:
            os.chdir(home)


def _mended(report: Report) -> bool:
    found = report.findings[0]
    return found.code in _SOMETIMES or bool(fixes(report.findings, open_source(found.file)).fixed)


# Codes of which --fix mends some, and not the one that the page shows.
_SOMETIMES = {"json-syntax", "duplicate-key"}

if __name__ == "__main__":
    sys.stdout.write(page())
