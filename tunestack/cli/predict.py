"""``tunestack predict JOB TEXT``: asks the tuned model, with the very template it was trained on."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterable, Mapping
from typing import Any

from tunestack.cli.project import Project, add_stack_argument, find_project
from tunestack.spec.errors import Problem, TunestackError


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
    prompts = _prompts(project, job.dataset, arguments.text)
    answers = asyncio.run(
        _ask(stack, model, prompts, max_output_tokens=job.max_output_tokens, with_base=arguments.base)
    )
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
    """Return, by job, the endpoint and base model of every deployed tuned model in a stack's state."""
    return {
        str(resource["urn"]).rpartition("::")[2]: {
            "endpoint": outputs["endpoint"],
            "base_model": outputs["parameterValues"]["large_model_reference"],
            "region": outputs["location"],
        }
        for resource in resources
        if resource.get("type") == "tunestack:vertex:PipelineJob"
        and not resource.get("delete")
        and (outputs := resource.get("outputs") or {}).get("endpoint")
    }


def _prompts(project: Project, dataset: str, texts: list[str]) -> list[str]:
    """Render ``texts`` with the dataset's own template: training and serving cannot differ."""
    from tunestack.dataset import render_prompt

    return [render_prompt(project.root / "datasets" / dataset, {"text": text}) for text in texts]


async def _ask(
    stack: Any, model: dict[str, Any], prompts: list[str], *, max_output_tokens: int, with_base: bool
) -> list[dict[str, str]]:
    from tunestack.vertex import open_vertex

    async with open_vertex(
        endpoint=stack.endpoint, access_token="local" if stack.is_local else None
    ) as vertex:
        tuned = await vertex.predict(model["endpoint"], prompts, max_output_tokens=max_output_tokens)
        answers = [{"tuned": text} for text in tuned]
        if with_base:
            parent = f"projects/{stack.project}/locations/{model['region']}"
            base_name = f"{parent}/publishers/google/models/{model['base_model']}"
            base = await vertex.predict(base_name, prompts, max_output_tokens=max_output_tokens)
            for answer, text in zip(answers, base, strict=True):
                answer["base"] = text
    return answers
