"""Evaluation runs: candidates answer the prompts of an evaluation set, metrics score them, results are kept as items.

Each candidate that has no reply yet is asked (INFERENCE), then each metric is computed or its judge asked
(RUNNING). What comes out: an item of type RESULT for each request and metric, a set of them, and the means. What the
run leaves has names that follow from its own, so that it may be begun again.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, ClassVar

import orjson

from tunestack.emulator.errors import ApiError, rpc_status
from tunestack.emulator.evaluation_metrics import aggregate
from tunestack.emulator.jobs.files import content_of, write_object
from tunestack.emulator.jobs.run import Run
from tunestack.emulator.jobs.states import TaskFailed
from tunestack.emulator.schema import Walk
from tunestack.emulator.services.evaluation import metric_result
from tunestack.emulator.services.evaluation_items import ITEMS, SETS, check_request, keep_item, keep_set
from tunestack.emulator.services.judge import render
from tunestack.emulator.services.served_models import named_model

if TYPE_CHECKING:
    from tunestack.emulator.state import State

Json = dict[str, Any]

_AGGREGATIONS = ("AVERAGE", "STANDARD_DEVIATION")


class EvaluationRunOfJob(Run):
    state_prefix = ""


class EvaluationRun:
    collection: ClassVar = "evaluationRuns"
    noun: ClassVar = "evaluation run"
    # The enum EvaluationRun.State has no more ends and no queue.
    states: ClassVar = frozenset({"PENDING", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"})

    def open(self, state: State, name: str) -> EvaluationRunOfJob:
        return EvaluationRunOfJob(state, name)

    def trains(self, run: Run) -> bool:
        return False

    async def work(self, run: Run) -> Json:
        if await run.script():
            return {}
        requests = _requests(run)
        if candidates := run.row.get("inferenceConfigs", {}):
            run.change(state="INFERENCE")
            for _, request in requests:
                await _infer(run, request, candidates)
            run.change(state="RUNNING")
        results: list[tuple[str, Json]] = []
        failed: set[str] = set()
        scores: dict[str, list[float]] = {}
        for metric in run.row["evaluationConfig"]["metrics"]:
            for item, request in requests:
                found = await _score(run, metric, request)
                result = {
                    "evaluationRequest": item,
                    "evaluationRun": run.name,
                    "metric": metric["metric"],
                    "request": request,
                    "candidateResults": found,
                }
                results.append((_identifier(run, item, metric["metric"]), result))
                if not found or any("error" in one for one in found):
                    failed.add(item)
                for one in found:
                    if "score" in one:
                        scores.setdefault(f"{one['candidate']}/{metric['metric']}", []).append(one["score"])
        if not scores:
            raise TaskFailed("FAILED_PRECONDITION", _first_error(results))
        return _keep(run, results, scores, len(requests), len(failed))

    def close(self, run: Run, state: str, error: Json | None) -> None:
        return


def _requests(run: Run) -> list[tuple[str, Json]]:
    """The requests of the set: (item's name, ``EvaluationRequest``)."""
    state = run.state
    name = run.row["dataSource"].get("evaluationSet")
    if name is None:
        what = ", ".join(run.row["dataSource"]) or "an empty data source"
        raise TaskFailed("UNIMPLEMENTED", f"the emulator evaluates evaluation sets, not {what}")
    found = state.rows.find(state.projects.canonical(name))
    if found is None:
        raise TaskFailed("NOT_FOUND", f"{name} is not found.")
    requests = []
    for item_name in found["evaluationItems"]:
        item = state.rows.find(state.projects.canonical(item_name))
        if item is None:
            raise TaskFailed("NOT_FOUND", f"{item_name} of {name} is not found.")
        if item["evaluationItemType"] == "REQUEST":
            requests.append((item["name"], item.get("evaluationRequest") or _stored(run, item["gcsUri"])))
    if not requests:
        raise TaskFailed("INVALID_ARGUMENT", f"{name} has no items of type REQUEST.")
    return requests


def _stored(run: Run, uri: str) -> Json:
    """An ``EvaluationRequest`` in a bucket, canonical."""
    try:
        body = orjson.loads(content_of(run.state, uri, run.account))
    except orjson.JSONDecodeError as error:
        raise TaskFailed("INVALID_ARGUMENT", f"{uri}: not JSON: {error}") from None
    walk = Walk(run.state.documents.schemas["aiplatform.v1beta1"], request=True)
    request: Json = walk.message("GoogleCloudAiplatformV1beta1EvaluationRequest", body)
    if walk.violations:
        raise TaskFailed("INVALID_ARGUMENT", f"{uri}: " + "\n".join(text for _, text in walk.violations))
    try:
        check_request(request)
    except ApiError as error:
        raise TaskFailed(error.status, f"{uri}: {error.message}") from None
    return request


async def _infer(run: Run, request: Json, candidates: Json) -> None:
    """Let each candidate answer that has not. What goes wrong stands in its response."""
    responses = request.setdefault("candidateResponses", [])
    for candidate, config in candidates.items():
        if any(response["candidate"] == candidate for response in responses):
            continue
        try:
            served = named_model(run.state, config.get("model", ""))
            prompt = _prompt(run, request, config)
            body: Json = {"contents": [{"role": "user", "parts": [{"text": prompt}]}]}
            if served.chats:
                body["generationConfig"] = config.get("generationConfig", {})
                answer = await served.generate(run.state, body)
                text = answer["candidates"][0]["content"]["parts"][0]["text"]
            else:
                answer = await served.predict(run.state, {"instances": [{"content": prompt}]})
                text = answer["predictions"][0]["content"]
            responses.append({"candidate": candidate, "text": text})
        except ApiError as error:
            responses.append({"candidate": candidate, "error": rpc_status(error.status, error.message)})


def _prompt(run: Run, request: Json, config: Json) -> str:
    prompt = request.get("prompt", {})
    template = config.get("promptTemplate") or run.row["evaluationConfig"].get("promptTemplate")
    if not template:
        return str(prompt.get("text", ""))
    text = template.get("promptTemplate")
    if text is None:
        text = content_of(run.state, template.get("gcsUri", ""), run.account).decode()
    return render(text, _values(prompt))


async def _score(run: Run, metric: Json, request: Json) -> list[Json]:
    """A ``CandidateResult`` for each candidate's response."""
    config = _autorater(run.row["evaluationConfig"].get("autoraterConfig", {}))
    found = []
    for response in request.get("candidateResponses", []):
        result: Json = {"candidate": response["candidate"], "metric": metric["metric"]}
        if "error" in response:
            found.append({**result, "error": response["error"]})
            continue
        try:
            scored = await metric_result(
                run.state, _metric(run, metric), _instance(request, response), config
            )
            found.append({**result, **scored})
        except ApiError as error:
            found.append({**result, "error": rpc_status(error.status, error.message)})
    return found


def _metric(run: Run, metric: Json) -> Json:
    """The ``Metric`` that an ``EvaluationRunMetric`` means."""
    if "metricConfig" in metric:
        return dict(metric["metricConfig"])
    if "metricResourceName" in metric:
        name = run.state.projects.canonical(metric["metricResourceName"])
        return dict(run.state.rows.get(name).get("metric", {}))
    found = {key: metric[key] for key in metric if key.endswith("Spec")}
    judged = found.get("llmBasedMetricSpec", {})
    if "judgeAutoraterConfig" in judged:
        config = _autorater(judged["judgeAutoraterConfig"])
        found["llmBasedMetricSpec"] = {**judged, "judgeAutoraterConfig": config}
    return found


def _autorater(config: Json) -> Json:
    """A run's config calls the number of samples otherwise than evaluateInstances does."""
    named = {"sampleCount": "samplingCount"}
    return {named.get(key, key): value for key, value in config.items()}


def _instance(request: Json, response: Json) -> Json:
    """The fields that metrics see (EvaluationRequest): prompt, response, reference, and the template's values."""
    prompt = request.get("prompt", {})
    instance: Json = {"response": {"text": response.get("text", "")}}
    if "text" in prompt:
        instance["prompt"] = {"text": prompt["text"]}
    if "text" in request.get("goldenResponse", {}):
        instance["reference"] = {"text": request["goldenResponse"]["text"]}
    values = {name: {"text": text} for name, text in _values(prompt).items()}
    return {**instance, "otherData": {"mapInstance": values}} if values else instance


def _values(prompt: Json) -> dict[str, str]:
    found = {}
    for name, content in prompt.get("promptTemplateData", {}).get("values", {}).items():
        found[name] = "".join(part.get("text", "") for part in content.get("parts", []))
    return found


def _keep(
    run: Run, results: list[tuple[str, Json]], scores: dict[str, list[float]], total: int, failed: int
) -> Json:
    """Keep results as items and a set; what the row of a run that succeeded has beside."""
    state = run.state
    output = run.row["evaluationConfig"].get("outputConfig", {}).get("gcsDestination", {})
    prefix = output.get("outputUriPrefix", "").rstrip("/")
    names = []
    with state.database.transaction():
        for identifier, result in results:
            item: Json = {
                "displayName": f"{result['metric']} of {result['evaluationRequest'].rpartition('/')[2]}",
                "evaluationItemType": "RESULT",
                "evaluationResponse": result,
            }
            if prefix:
                item["gcsUri"] = f"{prefix}/{run.identifier}/{identifier}.json"
                write_object(state, item["gcsUri"], orjson.dumps(result), run.account)
            names.append(keep_item(state, f"{run.parent}/{ITEMS}/{identifier}", item)["name"])
        name = f"{run.parent}/{SETS}/{run.notes['modelId']}"
        keep_set(
            state, name, {"displayName": f"results of {run.row['displayName']}", "evaluationItems": names}
        )
    metrics = {
        f"{key}/{kind}": aggregate(kind, values) for key, values in scores.items() for kind in _AGGREGATIONS
    }
    summary: Json = {"metrics": metrics, "totalItems": total, "failedItems": failed}
    return {
        "evaluationResults": {"evaluationSet": name, "summaryMetrics": summary},
        "evaluationSetSnapshot": run.row["dataSource"]["evaluationSet"],
    }


def _identifier(run: Run, item: str, metric: str) -> str:
    digest = hashlib.sha256(f"{run.name} {item} {metric}".encode()).digest()
    return str(10**18 + int.from_bytes(digest[:8], "big") % (8 * 10**18))


def _first_error(results: list[tuple[str, Json]]) -> str:
    for _, result in results:
        for one in result["candidateResults"]:
            if "error" in one:
                return f"No item could be evaluated: {one['error']['message']}"
    return "No item could be evaluated: the requests have no candidate responses and the run no candidates."
