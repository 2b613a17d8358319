"""``tunestack:vertex:Evaluation``: a tuned model against its base on held-out rows, and a gate that turns ``up`` red.

It owns nothing in the cloud but its report, which stays: deleting an evaluation forgets it. Every change of an input
judges again, in place; so does every ``up`` until the gate passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Annotated, ClassVar, Literal

from blake3 import blake3
from pydantic import AfterValidator, Field, model_validator

from tunestack.evaluation.held_out import read_held_out
from tunestack.evaluation.judgement import METRICS, HeldOutSet, Judgement, Replies, judge
from tunestack.evaluation.report import Report, Subject, make_report, read_report
from tunestack.provider.following import Interrupted, unless_cancelled
from tunestack.provider.inputs import Inputs, check_inputs, parse_inputs
from tunestack.provider.job_inputs import GcsDirectory, Location, Project
from tunestack.provider.resource import (
    Call,
    Change,
    Checked,
    Created,
    Differences,
    Found,
    InitFailed,
    PropertyProblem,
    Refused,
    Resource,
    compare,
)
from tunestack.provider.values import UNKNOWN, Properties, has_unknown, plain
from tunestack.spec.job import GateRule
from tunestack.vertex.client import location_of
from tunestack.vertex.errors import NotFound, PermissionDenied
from tunestack.vertex.model import ModelName

LARGEST_BATCH = 32
"""Instances of one prediction request; Vertex AI takes 250, and progress is shown between requests."""


def _object_uri(uri: str) -> str:
    if not uri.startswith("gs://") or not uri.removeprefix("gs://").partition("/")[2]:
        raise ValueError(f"{uri!r} is no object in Cloud Storage: gs://bucket/name")
    return uri


class HeldOutInput(Inputs):
    """One held-out set: its file and the BLAKE3 digest that the file must have."""

    name: Annotated[str, Field(min_length=1)]
    uri: Annotated[str, AfterValidator(_object_uri)]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class GateInput(Inputs):
    """One rule with exactly one bound; means what ``GateRule`` says."""

    set: str
    metric: str
    at_least: float | None = None
    at_most: float | None = None
    above_base: float | None = None
    below_base: float | None = None

    @model_validator(mode="after")
    def _one_bound(self) -> GateInput:
        if (
            sum(
                bound is not None for bound in (self.at_least, self.at_most, self.above_base, self.below_base)
            )
            != 1
        ):
            raise ValueError("give exactly one of atLeast, atMost, aboveBase, belowBase")
        return self

    @property
    def rule(self) -> GateRule:
        """The rule as ``tunestack.evaluation`` knows it."""
        return GateRule.model_validate(self.model_dump())


class EvaluationInputs(Inputs):
    """What is judged on what, and what it must reach."""

    project: Project
    location: Location
    endpoint: Annotated[str, Field(pattern=r"^projects/[^/]+/locations/[^/]+/endpoints/[^/]+$")]
    model: Annotated[
        str | None, Field(pattern=r"^projects/[^/]+/locations/[^/]+/models/[^/@]+(@[0-9]+)?$")
    ] = None
    base_model: Annotated[str, Field(pattern=r"^publishers/[^/]+/models/[^/]+$")]
    task: Literal["classification", "generation"]
    labels: Annotated[list[str] | None, Field(min_length=2)] = None
    held_out: Annotated[list[HeldOutInput], Field(min_length=1)]
    gate: list[GateInput]
    max_output_tokens: Annotated[int, Field(ge=1, le=8192)]
    report_directory: GcsDirectory


class EvaluationResource(Resource):
    """Check, diff, create, read, update and delete of an evaluation."""

    token: ClassVar[str] = "tunestack:vertex:Evaluation"  # noqa: S105 - a Pulumi type token
    computed: ClassVar[tuple[str, ...]] = ("verdict", "scores", "gateResults", "samples", "reportUri")

    def check(self, inputs: Properties) -> Checked:
        """Every rule as a problem of its property, also those between properties (the gate names sets and metrics)."""
        given = dict(inputs)
        if given.get("project") is None and self.session.configuration.project is not None:
            given["project"] = self.session.configuration.project
        checked, problems = check_inputs(EvaluationInputs, given)
        return Checked(checked, problems or _cross_problems(checked))

    def differences(self, olds: Properties, old_inputs: Properties, news: Properties) -> Differences:
        """Nothing replaces; a verdict other than PASS is judged again."""
        changes = compare(old_inputs, news)
        if plain(olds.get("verdict")) == "PASS":
            return Differences(changes)
        return Differences({**changes, "verdict": Change.UPDATE}, frozenset({"verdict"}))

    def preview(self, inputs: Properties, olds: Properties | None) -> Properties:
        """All results are unknown until the models have answered."""
        return {**inputs, **dict.fromkeys(self.computed, UNKNOWN)}

    async def create(self, call: Call, inputs: Properties) -> Created:
        """Judges; the id is the resource's own, since nothing in the cloud has one."""
        id_ = f"{call.name}-{blake3(call.urn.encode()).hexdigest(length=4)}"
        return Created(id_, await self._judge(call, id_, inputs))

    async def read(self, call: Call, id_: str, outputs: Properties, inputs: Properties) -> Found | None:
        """As stored: the scores are a record. A verdict that failed does not read as clean.

        An import reads a report, by its address in the bucket (``reportUri``).
        """
        if not inputs:
            found = await self._imported(id_)
            if found is None:
                return None
            outputs, inputs = found
        if plain(outputs.get("verdict")) == "FAIL":
            raise InitFailed(id_, outputs, _failures(plain(outputs.get("gateResults")) or []), inputs)
        return Found(id_, outputs, inputs)

    async def _imported(self, id_: str) -> tuple[Properties, Properties] | None:
        """Outputs and inputs of the evaluation that a report is of."""
        if not id_.startswith("gs://"):
            raise Refused(
                "INVALID_ARGUMENT",
                f"an evaluation is imported by its report, gs://bucket/…/evaluation-….md; {id_!r} is none",
            )
        base = id_.removesuffix(".md").removesuffix(".json")
        try:
            content = await self.session.storage.read(f"{base}.json")
        except NotFound:
            return None
        subject, sets, judgement = read_report(content)
        given = {
            "project": self.session.configuration.project_of(subject.endpoint),
            "location": location_of(subject.endpoint),
            "endpoint": subject.endpoint,
            "model": subject.model or None,
            "baseModel": subject.base_model,
            "task": subject.task,
            "labels": list(subject.labels) or None,
            "heldOut": [{"name": held.name, "uri": held.uri, "digest": held.digest} for held in sets],
            "gate": [
                GateInput.model_validate(rule.model_dump()).model_dump(by_alias=True, exclude_none=True)
                for rule in subject.rules
            ],
            "maxOutputTokens": subject.max_output_tokens,
            "reportDirectory": base.rpartition("/")[0],
        }
        known: Properties = {key: value for key, value in given.items() if value is not None}
        inputs, _ = check_inputs(EvaluationInputs, known)
        return {**inputs, **_results(judgement, sets, f"{base}.md")}, inputs

    async def update(self, call: Call, id_: str, olds: Properties, news: Properties) -> Properties:
        """Judges again."""
        return await self._judge(call, id_, news)

    async def delete(self, call: Call, id_: str, outputs: Properties, inputs: Properties) -> None:
        """Forgets it; the report is in the bucket and goes with the bucket."""

    async def _judge(self, call: Call, id_: str, inputs: Properties) -> Properties:
        if has_unknown(inputs):
            raise Refused("INVALID_ARGUMENT", "an input is still unknown: nothing can be judged")
        spec = parse_inputs(EvaluationInputs, inputs)
        try:
            outputs = await unless_cancelled(self._evaluate(call, spec), call.cancelled)
        except Interrupted:
            raise Refused(
                "ABORTED", "stopped before the verdict; run `tunestack up` again to judge"
            ) from None
        result = {**inputs, **outputs}
        if outputs["verdict"] != "PASS":
            raise InitFailed(id_, result, _failures(outputs["gateResults"]), inputs)
        return result

    async def _evaluate(self, call: Call, spec: EvaluationInputs) -> Properties:
        await self._check_served(spec)
        sets = [
            read_held_out(held.name, held.uri, held.digest, await self.session.storage.read(held.uri))
            for held in spec.held_out
        ]
        base = f"projects/{spec.project}/locations/{spec.location}/{spec.base_model}"
        progress = _Progress(call, total=2 * sum(len(held.rows) for held in sets))
        replies: dict[str, Replies] = {}
        for held in sets:
            answers = {
                who: await self._ask(name, held, spec, progress.of(held.name, who))
                for who, name in (("base", base), ("tuned", spec.endpoint))
            }
            replies[held.name] = Replies(tuned=tuple(answers["tuned"]), base=tuple(answers["base"]))
        labels = tuple(spec.labels or ())
        notes = await self._notes(spec.endpoint)
        rules = tuple(gate.rule for gate in spec.gate)
        subject = Subject(
            spec.endpoint,
            spec.base_model,
            spec.task,
            labels,
            spec.max_output_tokens,
            notes,
            spec.model or "",
            rules,
        )
        judgement = judge(spec.task, labels, sets, replies, rules)
        report_uri = await self._store(spec.report_directory, make_report(subject, sets, replies, judgement))
        for line in judgement.lines:
            await call.log.info(line)
        return _results(judgement, sets, report_uri)

    async def _ask(
        self, name: str, held: HeldOutSet, spec: EvaluationInputs, progress: _SetProgress
    ) -> list[str]:
        replies: list[str] = []
        await progress.done(0)
        for start in range(0, len(held.rows), LARGEST_BATCH):
            prompts = [row.input for row in held.rows[start : start + LARGEST_BATCH]]
            replies += await self.session.vertex.predict(
                name, prompts, max_output_tokens=spec.max_output_tokens
            )
            await progress.done(len(prompts))
        return replies

    async def _check_served(self, spec: EvaluationInputs) -> None:
        """Refuses to judge an endpoint that does not answer with the declared model alone."""
        if spec.model is None:
            return
        endpoint = await self.session.vertex.get_endpoint(spec.endpoint)
        split = endpoint.get("trafficSplit") or {}
        wanted = ModelName.parse(spec.model)
        serving = []
        for item in endpoint.get("deployedModels") or []:
            if split.get(item["id"]) or not split:
                name = ModelName.parse(str(item["model"]))
                version = str(item.get("modelVersionId") or name.version or wanted.version)
                serving.append(ModelName(name.project, name.location, name.id, version))
        asked = [name if wanted.version else replace(name, version="") for name in serving]
        if not asked or not all(name.means(wanted) for name in asked):
            there = ", ".join(map(str, serving)) or "nothing"
            raise Refused(
                "FAILED_PRECONDITION",
                f"model: {spec.endpoint} answers with {there}, need {spec.model} alone: "
                "let the evaluation depend on the deployment that serves it",
            )

    async def _notes(self, endpoint: str) -> tuple[str, ...]:
        """What the registry says of the models that are served: the emulator says there who plays them."""
        vertex = self.session.vertex
        try:
            deployed = (await vertex.get_endpoint(endpoint)).get("deployedModels") or []
            models = [await vertex.get_model(str(item["model"])) for item in deployed if item.get("model")]
        except (NotFound, PermissionDenied):
            return ()  # a remark for the reader, nothing that the verdict rests on
        return tuple(dict.fromkeys(str(model["description"]) for model in models if model.get("description")))

    async def _store(self, directory: str, report: Report) -> str:
        base = f"{directory.rstrip('/')}/{report.name}"
        await self.session.storage.write(f"{base}.json", report.json, content_type="application/json")
        await self.session.storage.write(
            f"{base}.md", report.markdown, content_type="text/markdown; charset=utf-8"
        )
        return f"{base}.md"


class _Progress:
    """Rows answered of all rows, both models together."""

    def __init__(self, call: Call, total: int) -> None:
        self._call = call
        self._total = total
        self._rows = 0

    def of(self, held: str, who: str) -> _SetProgress:
        return _SetProgress(self, f"{held} · {who}")

    async def add(self, rows: int, what: str) -> None:
        self._rows += rows
        await self._call.log.status(f"evaluate {100 * self._rows // self._total} % · {what}")


class _SetProgress:
    """One model on one set."""

    def __init__(self, whole: _Progress, what: str) -> None:
        self._whole = whole
        self._what = what
        self._rows = 0

    async def done(self, rows: int) -> None:
        self._rows += rows
        await self._whole.add(rows, f"{self._what} {self._rows}")


def _results(judgement: Judgement, sets: Sequence[HeldOutSet], report_uri: str) -> Properties:
    return {
        "verdict": judgement.verdict,
        "scores": {
            held.name: {
                **{who: dict(of) for who, of in judgement.scores[held.name].items()},
                "rows": len(held.rows),
            }
            for held in sets
        },
        "gateResults": judgement.lines,
        "samples": [asdict(sample) for sample in judgement.samples],
        "reportUri": report_uri,
    }


def _failures(lines: Sequence[str]) -> list[str]:
    """Why the gate did not pass; the rules that hold are on the resource's row and in the report."""
    return [line for line in lines if line.startswith("FAIL")] or ["the gate did not pass"]


def _cross_problems(inputs: Properties) -> list[PropertyProblem]:
    problems = []
    task, labels, gate, held = (plain(inputs.get(key)) for key in ("task", "labels", "gate", "heldOut"))
    if task == "classification" and labels is None:
        problems.append(PropertyProblem("labels", "is required for a classification"))
    names = [item["name"] for item in held] if not has_unknown(held) else None
    if names is not None and len(set(names)) != len(names):
        problems.append(PropertyProblem("heldOut", f"two sets have the same name: {', '.join(names)}"))
    if has_unknown(gate) or has_unknown(task):
        return problems
    for index, rule in enumerate(gate):
        if rule["metric"] not in METRICS[task]:
            known = ", ".join(METRICS[task])
            problems.append(
                PropertyProblem(f"gate[{index}].metric", f"{task} has no {rule['metric']}; it has {known}")
            )
        if names is not None and rule["set"] not in names:
            problems.append(
                PropertyProblem(
                    f"gate[{index}].set", f"no held-out set {rule['set']}; there are {', '.join(names)}"
                )
            )
    return problems
