"""The limits that a dataset is held against, and what its files break of them."""

from __future__ import annotations

from collections.abc import Iterator

from tunestack.catalog.limits import LIMITS, Limits, Rows, find_limits, most_validation
from tunestack.dataset.findings import Finding
from tunestack.spec.errors import Problem, TunestackError
from tunestack.spec.suggestion import listed, nearest, write


def limits_for(model: str | None, format: str, where: str = "") -> Limits:  # noqa: A002
    """What ``model`` takes of ``format``; what the format's first row of the table says where no model is named.

    ``where`` is the place that named the model. Raises TunestackError for a model or format that has no row.
    """
    if (limits := find_limits(model, format)) is not None:
        return limits
    formats = list(dict.fromkeys(row.format for row in LIMITS))
    if model is None or format not in formats:
        meant = write(nearest(format, formats))
        raise TunestackError(
            Problem("format", f"no model takes `{format}`", where, need=listed(formats), fix=meant)
        )
    if others := [row.format for row in LIMITS if model in row.models]:
        message = f"{model} is not tuned on `{format}`"
        raise TunestackError(Problem("model", message, where, have=format, need=listed(others)))
    models = [name for row in LIMITS if row.format == format for name in row.models]
    every = [name for row in LIMITS for name in row.models]
    meant = write(nearest(model, models) or nearest(model, every))
    message = f"nothing is known of a model {model} that is tuned on `{format}`"
    raise TunestackError(Problem("model", message, where, need=listed(models), fix=meant))


def file_findings(
    limits: Limits,
    file: str,
    part: str,
    *,
    rows: int,
    size: int,
    trained: int | None = None,
) -> Iterator[Finding]:
    """What one finished file breaks as a whole.

    ``part`` is `train`, `validation`, `queries`, `corpus` or `labels`; held-out sets go to no service. ``rows``
    and ``size`` (bytes) are of the lines as the service gets them. ``trained``: the rows of `train`, for `validation`.
    """
    known = limits.files.get(part, Rows())
    if part == "validation":
        known = Rows(most=limits.validation.most if trained is None else most_validation(limits, trained))
    source = _source(limits)
    if known.least is not None and rows < known.least:
        message = f"{_counted(rows, part)}; {limits.family} wants at least {known.least:,}{source}"
        yield Finding(file, 0, 0, "too-few-rows", "", message, f"add {known.least - rows:,} or more")
    if known.most is not None and rows > known.most:
        message = f"{_counted(rows, part)}; {limits.family} takes at most {known.most:,}{source}"
        beside = f" beside {trained:,} to train on" if part == "validation" and trained is not None else ""
        yield Finding(
            file, 0, 0, "too-many-rows", "", message, f"leave out {rows - known.most:,} or more{beside}"
        )
    if part.startswith("held-out") or limits.most_bytes is None or size <= limits.most_bytes:
        return
    message = f"{size:,} bytes; {limits.family} takes at most {limits.most_bytes:,}{source}"
    yield Finding(file, 0, 0, "file-too-large", "", message, "leave out rows")


def label_findings(limits: Limits, files: dict[str, int]) -> Iterator[Finding]:
    """Which files of labels name too few queries. ``files``: the number of different queries in each, by name.

    A query that stands in several files counts in each of them: whoever split the labels kept them apart.
    """
    if limits.labelled_queries is None:
        return
    least, least_in_all = limits.labelled_queries
    fix = "label more queries"
    for file, queries in files.items():
        if queries < least:
            message = f"labels for {queries:,} queries; {limits.family} wants at least {least:,} in each file"
            yield Finding(file, 0, 0, "too-few-rows", "", message + _source(limits), fix)
    total = sum(files.values())
    if files and total < least_in_all:
        message = f"labels for {total:,} queries in all; {limits.family} wants at least {least_in_all:,}"
        yield Finding(next(iter(files)), 0, 0, "too-few-rows", "", message + _source(limits), fix)


def _counted(rows: int, part: str) -> str:
    return f"{rows:,} {part if part in ('queries', 'labels') else 'rows'}"


def _source(limits: Limits) -> str:
    source = limits.rows_source
    return f" (checked {source.checked}{'' if source.verified else ', secondary source'})"
