"""Vertex AI: what lies in managed datasets of text: import, export, data items, annotations (aiplatform.v1, v1beta1).

Lines are those of the text import formats (cloud.google.com/vertex-ai/docs/text-data/classification/prepare-data):
``{"textContent" | "textGcsUri", "classificationAnnotation": {…}, "dataItemResourceLabels": {…}}``.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import ApiError, invalid
from tunestack.emulator.jobs.files import content_of, write_object
from tunestack.emulator.jobs.states import TaskFailed
from tunestack.emulator.services.vertex import check_labels, finished_operation, listed, named_row, shown
from tunestack.emulator.services.vertex_datasets import DATA_ITEMS

Json = dict[str, Any]

_DATASETS = "aiplatform.projects.locations.datasets"
_TEXT = re.compile(r"gs://google-cloud-aiplatform/schema/dataset/ioformat/text_(\w+)_io_format_[\d.]+\.yaml")
_CONTENT = ("textContent", "textGcsUri")


@implements(f"{_DATASETS}.import")
def import_data(call: Call) -> Json:
    """Every bad line is told and nothing is imported. The same text twice is one item, its labels together."""
    state, dataset = call.state, named_row(call)["name"]
    lines: list[tuple[Json, str, Json]] = []
    problems: list[str] = []
    for config in call.body["importConfigs"]:
        if not _TEXT.fullmatch(config["importSchemaUri"]):
            raise ApiError(
                "UNIMPLEMENTED",
                f"the emulator imports text alone, not what {config['importSchemaUri']} describes",
            )
        check_labels(config.get("dataItemLabels", {}))
        for uri in config["gcsSource"]["uris"]:
            found, bad = _lines(uri, _content(call, uri))
            problems += bad
            lines += [(line, config["importSchemaUri"], config.get("dataItemLabels", {})) for line in found]
    if problems:
        raise invalid("\n".join(problems))
    known = {orjson.dumps(row["payload"]): row for row in state.rows.list(DATA_ITEMS, dataset)}
    for line, schema, labels in lines:
        payload = {key: line[key] for key in _CONTENT if key in line}
        key = orjson.dumps(payload)
        row = known.get(key) or {"payload": payload, "_lines": []}
        row["labels"] = {**row.get("labels", {}), **labels, **line.get("dataItemResourceLabels", {})}
        entry = {**line, "_schema": schema}
        if entry not in row["_lines"]:
            row["_lines"].append(entry)
        known[key] = row
    for row in known.values():
        if "name" in row:
            state.rows.put(row["name"], {**row, "updateTime": state.now()})
            continue
        now = state.now()
        name = f"{dataset}/{DATA_ITEMS}/{state.new_id()}"
        row |= {"name": name, "createTime": now, "updateTime": now}
        state.rows.create(DATA_ITEMS, dataset, name, row)
    return finished_operation(call, dataset, "ImportData", {}, "ImportDataResponse")


@implements(f"{_DATASETS}.export")
def export_data(call: Call) -> Json:
    """The lines as they were imported, in a folder of the format they had."""
    state, dataset, config = call.state, named_row(call), call.body["exportConfig"]
    unplayed = sorted(set(config) - {"gcsDestination"})
    if unplayed or "gcsDestination" not in config:
        raise ApiError("UNIMPLEMENTED", f"the emulator exports whole datasets to buckets, without {unplayed}")
    time = re.sub(r"(\.\d{3})\d*Z$", r"\1Z", state.now())
    prefix = config["gcsDestination"]["outputUriPrefix"].rstrip("/")
    folder = f"{prefix}/export-data-{dataset['displayName']}-{time}"
    groups: dict[str, list[Json]] = {}
    for row in state.rows.list(DATA_ITEMS, dataset["name"]):
        for line in row["_lines"]:
            found = _TEXT.fullmatch(line["_schema"])
            groups.setdefault(f"text_{found.group(1)}" if found else "text", []).append(shown(line))
    files = []
    for title, group in sorted(groups.items()):
        uri = f"{folder}/{title}/data-00001-of-00001.jsonl"
        content = b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in group)
        try:
            write_object(state, uri, content)
        except TaskFailed as failure:
            raise ApiError(failure.status, failure.message) from None
        files.append(uri)
    return finished_operation(
        call, dataset["name"], "ExportData", {"exportedFiles": files}, "ExportDataResponse"
    )


@implements(f"{_DATASETS}.{DATA_ITEMS}.list")
def list_data_items(call: Call) -> Json:
    dataset = named_row(call, "parent")["name"]
    return listed(call, [shown(row) for row in call.state.rows.list(DATA_ITEMS, dataset)], DATA_ITEMS)


@implements(f"{_DATASETS}.{DATA_ITEMS}.annotations.list")
def list_annotations(call: Call) -> Json:
    """Named by their place: the emulator keeps them with the item that they are of."""
    item = named_row(call, "parent")
    rows: list[Json] = []
    for line in item["_lines"]:
        for key, value in line.items():
            if key.endswith(("Annotation", "Annotations")):
                found = _TEXT.fullmatch(line["_schema"])
                kind = "classification" if found is None else found.group(1).partition("_")[0]
                rows.append(
                    {
                        "name": f"{item['name']}/annotations/{len(rows) + 1}",
                        "payloadSchemaUri": (
                            f"gs://google-cloud-aiplatform/schema/dataset/annotation/text_{kind}_1.0.0.yaml"
                        ),
                        "payload": value,
                        "createTime": item["createTime"],
                        "updateTime": item["updateTime"],
                    }
                )
    return listed(call, rows, "annotations")


def _content(call: Call, uri: str) -> bytes:
    try:
        return content_of(call.state, uri)
    except TaskFailed as failure:
        raise ApiError(failure.status, failure.message) from None


def _lines(uri: str, content: bytes) -> tuple[list[Json], list[str]]:
    found: list[Json] = []
    problems: list[str] = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            body = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            problems.append(f"{uri}:{number}: not JSON: {error}")
            continue
        if (
            not isinstance(body, dict)
            or len([key for key in _CONTENT if isinstance(body.get(key), str)]) != 1
        ):
            problems.append(f"{uri}:{number}: exactly one of {' and '.join(_CONTENT)} must be set")
            continue
        found.append(body)
    return found, problems
