"""The report as a real browser lays it out: narrow and wide, light and dark, with hostile texts in it."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tunestack.dataset import Finding, Report
from tunestack.dataset.html_report import html_report
from tunestack.dataset.row_texts import RowText

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on PATH")

HOSTILE = (
    "<script>document.title='it ran'</script><img src=x onerror=\"document.title='it ran'\">",
    "مرحبا بالعالم، هذا نص طويل من اليمين إلى اليسار " * 8,
    "日本語のテキスト、皮肉ではない🎉👩‍👩‍👧‍👦" * 12,
    "unbroken" * 90,
)

# Puts the page into frames of several widths and writes what it measured there; the page itself may run no script.
HARNESS = """<!doctype html><title>harness</title><body><pre id="measured"></pre><script>
const measured = [];
for (const width of [360, 800, 1400]) {
  const frame = document.createElement("iframe");
  frame.style.width = width + "px";
  frame.style.border = 0;
  frame.srcdoc = PAGE;
  frame.onload = () => {
    const page = frame.contentDocument, look = frame.contentWindow.getComputedStyle(page.body);
    measured.push({
      width, scroll: page.documentElement.scrollWidth, title: page.title, background: look.backgroundColor,
      marks: page.querySelectorAll("pre mark").length,
    });
    if (measured.length == 3) document.getElementById("measured").textContent = JSON.stringify(measured);
  };
  document.body.append(frame);
}
</script>"""


def hostile_page() -> str:
    findings, texts = [], {}
    for line, text in enumerate(HOSTILE, 1):
        row = json.dumps({"text": text, "label": "dri"}, ensure_ascii=False)
        texts["records.jsonl", line] = RowText(row)
        for path, column in (("$.text", 10), ("$.label", row.rindex('"dri"') + 1)):
            start = max(0, column - 13)
            excerpt = ("…" if start else "") + row[start : column + 35] + "…"
            message = f"{text} is none of the labels"
            findings.append(
                Finding(
                    "records.jsonl",
                    line,
                    column,
                    "unknown-label",
                    path,
                    message,
                    text,
                    excerpt,
                )
            )
    return html_report(Report.of(findings), title=HOSTILE[0], texts=texts)


@pytest.mark.parametrize(("scheme", "background"), [(1, "rgb(251, 251, 253)"), (0, "rgb(18, 20, 27)")])
def test_nothing_of_a_dataset_runs_or_breaks_the_page(tmp_path: Path, scheme: int, background: str) -> None:
    page = hostile_page()
    harness = tmp_path / "harness.html"
    harness.write_text(HARNESS.replace("PAGE", json.dumps(page).replace("</", "<\\/")))
    assert CHROMIUM is not None
    done = subprocess.run(
        [
            CHROMIUM,
            "--headless",
            "--no-sandbox",  # in a container there is none to be had; the page is our own
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--blink-settings=preferredColorScheme={scheme}",
            "--virtual-time-budget=5000",
            "--dump-dom",
            harness.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = re.search(r'<pre id="measured">(.+?)</pre>', done.stdout, re.DOTALL)
    assert found, done.stdout[:2_000]
    measured = json.loads(html.unescape(found[1]))
    assert sorted(each["width"] for each in measured) == [360, 800, 1400]
    for each in measured:
        assert each["scroll"] <= each["width"]  # nothing sticks out to the right
        assert each["title"] == f"8 findings · {HOSTILE[0]}"
        assert each["background"] == background
        assert each["marks"] == 8
