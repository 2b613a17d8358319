"""``tunestack predict JOB TEXT``: asks the tuned model, with the very template it was trained on."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tunestack.cli.project import add_stack_argument, find_project
from tunestack.spec.errors import Problem, TunestackError

if TYPE_CHECKING:
    from tunestack.spec.stack import StackSpec

BUCKET_OBJECT = "gcp:storage/bucketObject:BucketObject"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = 'example: tunestack predict sarcasm-generation "The coffee machine is broken again."'
    parser.add_argument("job", help="the job whose tuned model is asked")
    parser.add_argument("text", nargs="+", help="one or more texts")
    parser.add_argument("--base", action="store_true", help="ask the base model too")
    parser.add_argument("--json", action="store_true", help="for machines")
    add_stack_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    from tunestack.cli.engines import open_engine
    from tunestack.spec.stack import StackSpec

    project = find_project(arguments.cwd, arguments.stack)
    engine = open_engine(project, "auto", start_emulator=True)
    # From the resources rather than the outputs: a model whose gate failed can be asked too.
    models = tuned_models(engine.resources())
    model = models.get(arguments.job)
    if model is None:
        raise TunestackError(
            Problem(
                "no-such-model",
                f"stack {arguments.stack} has no tuned model {arguments.job!r}",
                have=", ".join(models) or "nothing built yet",
                fix=f"tunestack up --stack {arguments.stack}",
            )
        )
    from tunestack.plan.project import load_job

    configuration = project.configuration()
    stack = StackSpec(
        name=project.stack,
        project=configuration["tunestack:project"],
        regions=tuple(configuration["tunestack:regions"]),
        jobs=tuple(configuration["tunestack:jobs"]),
        endpoint=project.endpoint,
    )
    job = load_job(project.root, arguments.job, stack)
    if not model["prompt"]:
        raise TunestackError(
            Problem(
                "no-prompt",
                f"the prompt of {arguments.job} did not come with the model: it was built before prompts did",
                fix=f"tunestack up --stack {arguments.stack}   (nothing is trained again)",
            )
        )
    from tunestack.vertex.errors import GoogleError

    asking = _ask(
        stack, model, arguments.text, max_output_tokens=job.max_output_tokens, with_base=arguments.base
    )
    try:
        answers = asyncio.run(asking)
    except GoogleError as error:
        fix = f"tunestack up --stack {arguments.stack}   (builds what is missing)"
        raise TunestackError(Problem("no-answer", str(error), model["endpoint"], fix=fix)) from None
    if arguments.json:
        print(
            json.dumps(
                [{"text": text, **answer} for text, answer in zip(arguments.text, answers, strict=True)],
                indent=2,
            )
        )
        return 0
    for text, answer in zip(arguments.text, answers, strict=True):
        if arguments.base or len(answers) > 1:
            print(text)
            if arguments.base:
                print(f"  base   {answer['base']}")
            print(f"  tuned  {answer['tuned']}")
        else:
            print(answer["tuned"])
    return 0


def tuned_models(resources: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Return, by job, endpoint, base model, region and prompt of every deployed tuned model in a stack's state."""
    models: dict[str, dict[str, str]] = {}
    prompts: dict[str, str] = {}
    for resource in resources:
        outputs = resource.get("outputs") or {}
        if resource.get("delete"):
            continue
        name = str(resource["urn"]).rpartition("::")[2]
        if resource.get("type") == "tunestack:vertex:PipelineJob" and outputs.get("endpoint"):
            models[name] = {
                "endpoint": outputs["endpoint"],
                "base_model": outputs["parameterValues"]["large_model_reference"],
                "region": outputs["location"],
            }
        elif resource.get("type") == BUCKET_OBJECT and name.endswith("-prompt"):
            prompts[name.removesuffix("-prompt")] = f"gs://{outputs.get('bucket')}/{outputs.get('name')}"
    for name, model in models.items():
        model["prompt"] = prompts.get(name, "")
    return models


async def _ask(
    stack: StackSpec, model: dict[str, str], texts: list[str], *, max_output_tokens: int, with_base: bool
) -> list[dict[str, str]]:
    from tunestack.dataset.serving import ServingPrompt
    from tunestack.vertex import open_object_store, open_vertex

    token = "local" if stack.is_local else None
    async with (
        open_object_store(endpoint=stack.endpoint, access_token=token) as objects,
        open_vertex(endpoint=stack.endpoint, access_token=token) as vertex,
    ):
        # The prompt that the model was tuned with, not the one that the dataset's folder would render now.
        prompt = ServingPrompt.from_json(await objects.read(model["prompt"]), model["prompt"])
        prompts = [prompt.text(text) for text in texts]
        tuned = await vertex.predict(model["endpoint"], prompts, max_output_tokens=max_output_tokens)
        answers = [{"tuned": text} for text in tuned]
        if with_base:
            parent = f"projects/{stack.project}/locations/{model['region']}"
            base_name = f"{parent}/publishers/google/models/{model['base_model']}"
            base = await vertex.predict(base_name, prompts, max_output_tokens=max_output_tokens)
            for answer, text in zip(answers, base, strict=True):
                answer["base"] = text
    return answers
