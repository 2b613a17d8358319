"""What a dataset consists of, for a terminal: rows, lengths, labels, tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tunestack.dataset.findings import counted
from tunestack.dataset.report import Report, by_part, label_counts

_BLOCKS = " ▁▂▃▄▅▆▇█"
_WIDTH = 24


def terminal_statistics(report: Report) -> str:
    """A table for each part; what is wrong is only counted."""
    return "\n".join(_lines(report))


def sparkline(histogram: Counter[int], width: int = _WIDTH) -> str:
    """How the lengths are spread between the shortest and the longest, a block of even height for each range."""
    least, most = min(histogram), max(histogram)
    columns = [0] * min(width, most - least + 1)
    for length, rows in histogram.items():
        columns[(length - least) * len(columns) // (most - least + 1)] += rows
    tallest = max(columns)
    return "".join(_BLOCKS[-(-rows * (len(_BLOCKS) - 1) // tallest)] for rows in columns)


def _lines(report: Report) -> Iterator[str]:
    for part, statistics in by_part(report):
        yield f"{part} · {counted(statistics.rows, 'row')}" + (
            f" · {statistics.bytes:,} bytes" if statistics.bytes else ""
        )
        names = sorted(name for name, histogram in statistics.lengths.items() if histogram)
        if names:
            width = max(map(len, ["characters", *names]))
            yield f"  {'characters':<{width}}  {'min':>8}  {'median':>8}  {'p95':>8}  {'max':>8}  {'total':>12}"
        for name in sorted(names, key=lambda name: (name != "prompt", name)):
            histogram = statistics.lengths[name]
            total = sum(length * rows for length, rows in histogram.items())
            yield (
                f"  {name:<{width}}  {min(histogram):>8,}  {statistics.quantile(name, 0.5):>8,}  "
                f"{statistics.quantile(name, 0.95):>8,}  {max(histogram):>8,}  {total:>12,}  {sparkline(histogram)}"
            ).rstrip()
        if labels := label_counts(statistics):
            labelled = sum(labels.values())
            width = max(map(len, ["labels", *labels]))
            yield f"  {'labels':<{width}}  {'rows':>8}  {'share':>8}"
            for label, rows in labels.items():
                yield f"  {label:<{width}}  {rows:>8,}  {rows / labelled:>8.1%}  {'█' * round(24 * rows / labelled)}"
        if part in report.tokens:
            yield f"  {report.tokens[part]}"
        yield ""
    if report.ledger is not None:
        yield report.ledger.sentence()
    for source in report.sources:
        yield f"{source.name} · {source.bytes:,} bytes · blake3 {source.blake3} · crc32c {source.crc32c}"
    if report.good:
        yield "Nothing is wrong."
    else:
        found = counted(report.total, "finding")
        yield f"{found}: `tunestack dataset check` lists them; only well-formed rows are counted here"
