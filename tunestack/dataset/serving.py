"""The prompt of a tuned model as a document that travels with it: what it was tuned on, it is asked with.

A template that is edited after the tuning does not change how the tuned model is asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import asdict

from tunestack.dataset.formats.format import Example
from tunestack.dataset.render import Recipe, TemplateText
from tunestack.dataset.template import TemplateFault
from tunestack.spec.errors import Problem, TunestackError

VERSION = 1


class ServingPrompt(msgspec.Struct, frozen=True):
    """The part of a dataset's recipe that a prompt needs; ``where`` stands for it in messages."""

    recipe: Recipe
    where: str

    @classmethod
    def of(cls, recipe: Recipe, where: str) -> ServingPrompt:
        """Of a dataset's recipe, without what renders answers. Raises TemplateFault."""
        columns = {column: recipe.columns[column] for column in recipe.asked()}
        return cls(Recipe(columns, recipe.prompt, recipe.messages, recipe.context), where)

    def as_json(self) -> bytes:
        """The document; the same bytes wherever the dataset lies."""
        recipe = self.recipe
        texts = {
            name: asdict(text) | {"file": Path(text.file).name}
            for name, text in (("prompt", recipe.prompt), ("context", recipe.context))
            if text is not None
        }
        document = {"version": VERSION, "columns": dict(recipe.columns), "messages": recipe.messages, **texts}
        return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"

    @classmethod
    def from_json(cls, document: bytes, where: str) -> ServingPrompt:
        """What `as_json` wrote. Raises TunestackError where ``document`` is something else."""
        try:
            given = json.loads(document)
            if given["version"] != VERSION:
                raise ValueError(f"version {given['version']}, not {VERSION}")
            texts = {
                name: TemplateText(**given[name]) if name in given else None for name in ("prompt", "context")
            }
            recipe = Recipe(given["columns"], texts["prompt"], given["messages"], texts["context"])
        except (ValueError, TypeError, KeyError) as error:
            message = f"the prompt that came with the model cannot be read: {error}"
            raise TunestackError(Problem("template-error", message, where)) from None
        return cls(recipe, where)

    def render(self, values: str | Mapping[str, Any]) -> Example:
        """What the model is asked: turns and context.

        ``values`` are the columns, turns as lists of {role, content}; or the text alone where there is one column.
        Raises TunestackError where the values do not allow it.
        """
        columns = self.recipe.columns
        needed = tuple(columns)
        if isinstance(values, str):
            if len(needed) != 1:
                problem = Problem(
                    "columns", "one text is not enough", self.where, "one text", ", ".join(needed)
                )
                raise TunestackError(problem)
            turn = {"role": "user", "author": "user", "content": values}
            values = {needed[0]: [turn] if columns[needed[0]] == "messages" else values}
        if missing := [column for column in needed if column not in values]:
            raise TunestackError(Problem("columns", f"the prompt needs {', '.join(missing)}", self.where))
        try:
            return self.recipe.renderer().render(dict(values))
        except TemplateFault as fault:
            raise TunestackError(
                Problem("template-error", fault.message, f"{fault.file}:{fault.line}", fix=fault.fix)
            ) from None

    def text(self, values: str | Mapping[str, Any]) -> str:
        """As render, where the prompt is one text. Raises TunestackError, also where it is more than that."""
        example = self.render(values)
        if example.context is not None or len(example.turns) != 1:
            message = "the prompt is a conversation, not one text"
            raise TunestackError(
                Problem("columns", message, self.where, fix="ask with its turns and its context")
            )
        return example.turns[0].text


def serving_prompt(folder: Path) -> ServingPrompt:
    """The prompt of a dataset folder. Raises TunestackError where it has none or a fault in it."""
    from tunestack.dataset.render import load_recipe
    from tunestack.spec.dataset import SPEC_FILE, load_dataset

    spec = load_dataset(folder)
    recipe, findings = load_recipe(folder, spec)
    if findings:
        raise TunestackError(
            *(Problem(found.code, found.message, found.where, fix=found.fix) for found in findings)
        )
    where = str(folder / (spec.template or SPEC_FILE))
    if recipe is None:
        message = "the dataset has no template: its lines are finished"
        raise TunestackError(Problem("template-error", message, where, fix="ask with the prompt itself"))
    return ServingPrompt.of(recipe, where)


def render_prompt(folder: Path, values: str | Mapping[str, Any]) -> str:
    """The prompt for a new text, by the templates of a dataset folder. Raises TunestackError: see ServingPrompt."""
    return serving_prompt(folder).text(values)
