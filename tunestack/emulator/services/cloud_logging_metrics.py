"""Cloud Logging: what log-based metrics count of an entry: entries, or the values that they extract, by label.

cloud.google.com/logging/docs/logs-based-metrics/distribution-metrics and …/labels: an extractor is ``EXTRACT(field)``
or ``REGEXP_EXTRACT(field, "pattern")``, whose first group counts; a value that is no number is not counted, a label
without one is empty.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from tunestack.emulator.errors import invalid
from tunestack.emulator.services.cloud_logging_filter import parse
from tunestack.emulator.services.cloud_logging_state import METRICS
from tunestack.emulator.services.monitoring_counting import count as count_one
from tunestack.emulator.services.monitoring_distributions import distribution_of
from tunestack.emulator.state import State

Json = dict[str, Any]

_EXTRACTOR = re.compile(
    r'\s*(?:EXTRACT\(\s*([^",()]+?)\s*\)|REGEXP_EXTRACT\(\s*([^",()]+?)\s*,\s*"((?:[^"\\]|\\.)*)"\s*\))\s*'
)
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def count(state: State, project: str, entry: Json) -> None:
    """Count an entry into the metrics of a project (by number) that want it."""
    for metric in state.rows.list(METRICS, project):
        if metric.get("disabled") or not parse(metric["filter"])(entry):
            continue
        value = None
        if metric.get("valueExtractor"):
            found = _NUMBER.match(extracted(metric["valueExtractor"], entry))
            if found is None:
                continue
            value = distribution_of(float(found.group()), metric.get("bucketOptions"))
        labels = {key: extracted(text, entry) for key, text in metric.get("labelExtractors", {}).items()}
        head = {
            "type": metric["metricDescriptor"]["type"],
            **({"labels": labels} if labels else {}),
        }
        count_one(state, project, head, entry["resource"], entry["timestamp"], value)


def check_extractors(metric: Json) -> None:
    """Raises 400 on an extractor that is none, and on labels that have none (or none of its kind) in the descriptor."""
    extractors: Json = metric.get("labelExtractors", {})
    for text in (*extractors.values(), *filter(None, [metric.get("valueExtractor")])):
        _parsed(text)
    declared = [label.get("key", "") for label in metric.get("metricDescriptor", {}).get("labels", [])]
    if sorted(declared) != sorted(extractors):
        raise invalid(
            "The labels in the metric descriptor and in label_extractors must be the same: "
            f"{', '.join(sorted(declared)) or 'none'}, and {', '.join(sorted(extractors)) or 'none'}.",
            [("metric.label_extractors", "not the descriptor's")],
        )


def extracted(extractor: str, entry: Json) -> str:
    """What an extractor finds in an entry, as text; empty where that is nothing."""
    path, pattern = _parsed(extractor)
    value: Any = entry
    for index, name in enumerate(path):
        if not isinstance(value, dict):
            return ""
        # The keys of labels may have dots in them.
        rest = ".".join(path[index:])
        if rest in value:
            value = value[rest]
            break
        value = value.get(name)
    if value is None or isinstance(value, dict | list):
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if pattern is None:
        return text
    found = pattern.search(text)
    return (found.group(1) or "") if found else ""


@lru_cache(maxsize=256)
def _parsed(extractor: str) -> tuple[list[str], re.Pattern[str] | None]:
    found = _EXTRACTOR.fullmatch(extractor)
    if found is None:
        raise invalid(
            f'Invalid extractor: "{extractor}": it is EXTRACT(field) or REGEXP_EXTRACT(field, "regex").'
        )
    plain, field, text = found.groups()
    if plain:
        return plain.split("."), None
    try:
        pattern = re.compile(re.sub(r'\\(["\\])', r"\1", text))
    except re.error as error:
        raise invalid(f'Invalid regular expression "{text}": {error}') from None
    if pattern.groups != 1:
        raise invalid(f'The regular expression "{text}" must have exactly one group.')
    return field.split("."), pattern
