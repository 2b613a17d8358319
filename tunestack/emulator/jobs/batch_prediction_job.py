"""Batch prediction: instances from JSONL files in buckets or from BigQuery tables, answered by the model, written back.

Two formats of files, as Google has them. A model that chats (Gemini) takes lines ``{"request":
GenerateContentRequest}`` and answers each with ``{"status", "processed_time", "request", "response"}`` in
``predictions.jsonl``, a failed one with what went wrong in ``status``
(cloud.google.com/vertex-ai/generative-ai/docs/multimodal/batch-prediction-gemini). Every other model takes instances
and answers ``{"instance", "predictions", "status"}`` in ``predictions_0001.jsonl``, failed ones with an ``error`` in
``errors_0001.jsonl`` (BatchPredictionJob.OutputConfig.gcs_destination). Tables: `batch_prediction_tables`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from tunestack.emulator.errors import ApiError, invalid, rpc_status
from tunestack.emulator.jobs.batch_prediction_tables import read_rows, write_results
from tunestack.emulator.jobs.files import content_of, write_object
from tunestack.emulator.jobs.run import Run
from tunestack.emulator.jobs.states import JOB_STATES, TaskFailed
from tunestack.emulator.schema import Walk
from tunestack.emulator.services.served_models import Served, named_model
from tunestack.emulator.services.storage import parse_gs_uri

if TYPE_CHECKING:
    from tunestack.emulator.state import State

Json = dict[str, Any]

_AT_ONCE = 8
"""Lines between two counts of what is done: then others get their turn at the model."""
_PARTIAL_FAILURES = 20
_SOURCES = ("gcsSource", "bigquerySource")
_DESTINATIONS = ("gcsDestination", "bigqueryDestination")


class BatchPredictionJob:
    collection: ClassVar = "batchPredictionJobs"
    noun: ClassVar = "batch prediction job"
    states: ClassVar = JOB_STATES

    def open(self, state: State, name: str) -> Run:
        return Run(state, name)

    def trains(self, run: Run) -> bool:
        return False

    async def work(self, run: Run) -> Json:
        if await run.script():
            return {}
        row = run.row
        _check_played(row)
        try:
            served = named_model(run.state, row.get("model") or row["endpoint"])
        except ApiError as error:
            raise TaskFailed(error.status, error.message) from None
        columns: list[Json] = []
        if "bigquerySource" in row["inputConfig"]:
            columns, rows = await read_rows(run)
            lines = [orjson.dumps(_with_request(one) if served.chats else one) for one in rows]
        else:
            lines, rows = _lines(run), []
        answer = _answer_chat if served.chats else _answer_instance
        results: list[tuple[Json, bool]] = []
        for number, line in enumerate(lines):
            results.append(await answer(run, served, line))
            if (number + 1) % _AT_ONCE == 0:
                run.change(completionStats=_statistics(results, len(lines)))
        statistics = _statistics(results, len(lines))
        failed = [result for result, bad in results if bad]
        if len(failed) == len(results):
            # What Google makes of a job without a single prediction is not recorded.
            run.change(completionStats=statistics)
            raise TaskFailed(
                "INVALID_ARGUMENT", f"All {len(failed)} instances failed: {_first_words(failed)}"
            )
        if "bigqueryDestination" in row["outputConfig"]:
            output = await _to_tables(run, served, columns, rows, results)
        else:
            output = _to_files(run, served, results)
        return {"outputInfo": output, "completionStats": statistics}

    def close(self, run: Run, state: str, error: Json | None) -> None:
        return


async def _to_tables(
    run: Run, served: Served, columns: list[Json], rows: list[Json], results: list[tuple[Json, bool]]
) -> Json:
    if not columns:
        name = "request" if served.chats else "instance"
        columns = [{"name": name, "type": "JSON", "mode": "NULLABLE"}]
        rows = [{name: result.get(name, result)} for result, _ in results]
    found = []
    for row, (result, bad) in zip(rows, results, strict=True):
        kept = result["error"] if bad and not served.chats else result
        found.append((row, {key: value for key, value in kept.items() if key != "request"}, bad))
    return await write_results(run, columns, found, chats=served.chats, model=_model_name(served))


def _to_files(run: Run, served: Served, results: list[tuple[Json, bool]]) -> Json:
    directory = f"{_prefix(run.row)}/{_directory(run, served)}"
    written = [result for result, bad in results if not bad]
    failed = [result for result, bad in results if bad]
    if served.chats:
        _write(run, f"{directory}/predictions.jsonl", [*written, *failed])
    else:
        _write(run, f"{directory}/predictions_0001.jsonl", written)
        if failed:
            _write(run, f"{directory}/errors_0001.jsonl", failed)
    return {"gcsOutputDirectory": directory}


def _with_request(row: Json) -> Json:
    """A row whose ``request`` is an object: a column of type STRING has its text."""
    request = row.get("request")
    if not isinstance(request, str):
        return row
    try:
        return {**row, "request": orjson.loads(request)}
    except orjson.JSONDecodeError:
        return row


def _check_played(row: Json) -> None:
    """Raises `TaskFailed` on what Google runs and the emulator does not."""
    unplayed = [key for key in ("unmanagedContainerModel",) if key in row]
    unplayed += [key for key in row["inputConfig"] if key not in ("instancesFormat", *_SOURCES)]
    unplayed += [key for key in row["outputConfig"] if key not in ("predictionsFormat", *_DESTINATIONS)]
    for config, key in (("inputConfig", "instancesFormat"), ("outputConfig", "predictionsFormat")):
        if row[config][key] not in ("jsonl", "bigquery"):
            unplayed.append(f"{key} {row[config][key]}")
    if row.get("generateExplanation"):
        unplayed.append("generateExplanation")
    if unplayed:
        raise TaskFailed(
            "UNIMPLEMENTED",
            f"the emulator does not play {', '.join(unplayed)}: it reads and writes jsonl files in buckets and"
            " BigQuery tables, for models that it serves",
        )


def _lines(run: Run) -> list[bytes]:
    """The lines of all input files. A file that cannot be read is a partial failure; none at all ends the job."""
    lines: list[bytes] = []
    problems: list[Json] = []
    read = 0
    for uri in run.row["inputConfig"]["gcsSource"]["uris"]:
        for found in _expanded(run.state, uri):
            try:
                content = content_of(run.state, found, run.account)
            except TaskFailed as failure:
                problems.append(rpc_status(failure.status, failure.message))
                continue
            read += 1
            lines += [line for line in content.split(b"\n") if line.strip()]
    if problems and not read:
        raise TaskFailed("INVALID_ARGUMENT", "\n".join(problem["message"] for problem in problems))
    if not lines:
        raise TaskFailed("INVALID_ARGUMENT", "The input files have no instances.")
    if problems:
        run.change(partialFailures=problems[:_PARTIAL_FAILURES])
    return lines


def _expanded(state: State, uri: str) -> Iterator[str]:
    """The objects that a URI with wildcards means; one without stands for itself.

    ``*`` stops at a slash, ``**`` does not (cloud.google.com/storage/docs/wildcards).
    """
    try:
        bucket, path = parse_gs_uri(uri)
    except ValueError as error:
        raise TaskFailed("INVALID_ARGUMENT", str(error)) from None
    if not any(sign in path for sign in "*?"):
        yield uri
        return
    signs = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*|\*|\?)", path)
    pattern = re.compile("".join(signs.get(part, re.escape(part)) for part in parts))
    rows = state.database.execute("SELECT name FROM object WHERE bucket = ? AND live ORDER BY name", bucket)
    matched = [f"gs://{bucket}/{name}" for (name,) in rows if pattern.fullmatch(name)]
    if not matched:
        raise TaskFailed("NOT_FOUND", f"{uri} matches no object.")
    yield from matched


async def _answer_chat(run: Run, served: Served, line: bytes) -> tuple[Json, bool]:
    request: Any = None
    status, response = "", {}
    try:
        body = _parsed(line)
        request = body.get("request")
        if not isinstance(request, dict):
            raise invalid('The line has no object "request".')
        walk = Walk(run.state.documents.schemas["aiplatform.v1beta1"], request=True)
        canonical = walk.message("GoogleCloudAiplatformV1beta1GenerateContentRequest", request)
        if walk.violations:
            raise invalid("\n".join(text for _, text in walk.violations))
        response = await served.generate(run.state, canonical)
    except ApiError as error:
        status = f"{error.status}: {error.message}"
    result = {"status": status, "processed_time": run.state.now(), "request": request, "response": response}
    return result, bool(status)


async def _answer_instance(run: Run, served: Served, line: bytes) -> tuple[Json, bool]:
    config = run.row.get("instanceConfig", {})
    instance: Any = None
    try:
        instance = _parsed(line)
        shown = _shown(instance, config)
        sent = {key: value for key, value in instance.items() if _is_sent(key, config)}
        body = {"instances": [sent], "parameters": run.row.get("modelParameters") or {}}
        answer = await served.predict(run.state, body)
    except ApiError as error:
        kept = instance if isinstance(instance, dict) else {"instance": line.decode(errors="replace")}
        return {**kept, "error": rpc_status(error.status, error.message)}, True
    return {**shown, "predictions": answer["predictions"], "status": ""}, False


def _parsed(line: bytes) -> Json:
    try:
        body = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise invalid(f"The line is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise invalid("The line is not a JSON object.")
    return body


def _is_sent(key: str, config: Json) -> bool:
    if key == config.get("keyField") or key in config.get("excludedFields", []):
        return False
    return key in config.get("includedFields", [key])


def _shown(instance: Json, config: Json) -> Json:
    """How the output names an instance: whole, or by its key (BatchPredictionJob.InstanceConfig.key_field)."""
    key = config.get("keyField")
    if not key:
        return {"instance": instance}
    if key not in instance:
        raise invalid(f"The instance has no key field {key}.")
    return {"key": instance[key]}


def _statistics(results: list[tuple[Json, bool]], total: int) -> Json:
    failed = sum(bad for _, bad in results)
    return {
        "successfulCount": str(len(results) - failed),
        "failedCount": str(failed),
        "incompleteCount": str(total - len(results)),
    }


def _first_words(failed: list[Json]) -> str:
    return str(failed[0].get("status") or failed[0].get("error", {}).get("message", ""))


def _prefix(row: Json) -> str:
    return str(row["outputConfig"]["gcsDestination"]["outputUriPrefix"]).rstrip("/")


def _directory(run: Run, served: Served) -> str:
    """``prediction-<model display name>-<time of creation>``; Gemini's says ``model`` for any model."""
    time = re.sub(r"(\.\d{3})\d*Z$", r"\1Z", run.row["createTime"])
    return f"prediction-{'model' if served.chats else _model_name(served)}-{time}"


def _model_name(served: Served) -> str:
    return str((served.model or {}).get("displayName", served.version))


def _write(run: Run, uri: str, lines: list[Json]) -> None:
    content = b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)
    write_object(run.state, uri, content, run.account)
