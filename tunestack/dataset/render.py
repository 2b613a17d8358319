"""Records to examples: the templates and columns of `dataset.yaml`, compiled once in each process.

The same templates render the prompt that a tuned model is asked when it is served: serving.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from tunestack.dataset.findings import Finding, quoted
from tunestack.dataset.formats.format import Example, Turn
from tunestack.dataset.records import Records, Values, turns_of
from tunestack.dataset.template import PromptTemplate, TemplateFault

if TYPE_CHECKING:
    from tunestack.spec.dataset import DatasetSpec

# Fields of a compiled line, by how their paths begin, and what rendered them.
_ORIGINS = (
    (re.compile(r"\$\.(?:context|systemInstruction|system_instruction)\b"), "context"),
    (re.compile(r"\$\.input_text\b"), "prompt"),
    (re.compile(r"\$\.output_text\b"), "output_text"),
    (re.compile(r"\$\.candidate_0\b"), "candidate_0"),
    (re.compile(r"\$\.candidate_1\b"), "candidate_1"),
    (re.compile(r"\$\.choice\b|\$\.completions\[\d+\]\.score\b"), "choice"),
)
_TURN = re.compile(r"\$\.(?:messages|contents)\[(\d+)\]")
_COMPLETION = re.compile(r"\$\.completions\[(\d+)\]")
_REFERENCE = re.compile(r"\$\.references(\[\d+\])?")


class TemplateText(msgspec.Struct, frozen=True):
    """A template's source and where it stands: ``line`` and ``column`` of its first character, 0 for a file."""

    source: str
    file: str
    line: int = 1
    column: int = 0

    def compile(self, columns: Mapping[str, str]) -> PromptTemplate:
        """Raises TemplateFault."""
        return PromptTemplate(self.source, self.file, columns, self.line, self.column)


class Recipe(msgspec.Struct, frozen=True):
    """How records of these columns become examples; picklable.

    ``prompt`` renders the only turn, or ``messages`` names the column whose turns are the conversation. Without
    ``output_text``, and with ``answered``, the assistant's last turn is the answer. ``references`` names the
    column that holds all the answers of a held-out row.
    """

    columns: Mapping[str, str]
    prompt: TemplateText | None = None
    messages: str | None = None
    context: TemplateText | None = None
    output_text: TemplateText | None = None
    candidate_0: TemplateText | None = None
    candidate_1: TemplateText | None = None
    choice: TemplateText | None = None
    references: str | None = None
    answered: bool = False

    def renderer(self) -> Renderer:
        """The recipe ready to render. Raises TemplateFault."""
        return Renderer(self)

    def for_held_out(self, references: str | None) -> Recipe:
        """The recipe of held-out rows: the same prompt, and the answer or the ``references`` beside it.

        Their records have all the columns where one of them holds the answer, else only those that the prompt is
        made of.
        """
        if references is None and (self.output_text is not None or self.answered):
            return self
        columns = {column: self.columns[column] for column in self.asked()}
        if references is not None:
            columns[references] = "list[string]"
        return replace(
            self,
            columns=columns,
            output_text=None,
            candidate_0=None,
            candidate_1=None,
            choice=None,
            references=references,
            answered=False,
        )

    def asked(self) -> tuple[str, ...]:
        """The columns that the prompt is made of, in their order. Raises TemplateFault."""
        used = {self.messages}
        for template in (self.prompt, self.context):
            if template is not None:
                used.update(template.compile(self.columns).columns)
        return tuple(column for column in self.columns if column in used)


class Renderer:
    """A recipe with its templates compiled. Raises TemplateFault where one is no template."""

    def __init__(self, recipe: Recipe) -> None:
        columns = recipe.columns
        self.recipe = recipe
        self.records = Records(columns)
        self._templates = {
            name: template.compile(columns)
            for name in ("prompt", "context", "output_text", "candidate_0", "candidate_1", "choice")
            if (template := getattr(recipe, name)) is not None
        }
        prompt, context, output = (
            template.rendering if (template := self._templates.get(name)) is not None else None
            for name in ("prompt", "context", "output_text")
        )
        self._prompt, self._context, self._output = prompt, context, output

    def render(self, values: Values) -> Example:
        """The example of one record's values. Raises TemplateFault, whose ``violation`` is for the record."""
        recipe = self.recipe
        if self._prompt is not None:
            turns: tuple[Turn, ...] = (Turn("user", self._prompt(values)),)
        else:
            turns = turns_of(values[recipe.messages or ""])
        context = self._context(values) if self._context is not None else None
        targets: tuple[str, ...] = ()
        if self._output is not None:
            targets = (self._output(values),)
        elif recipe.references is not None:
            targets = tuple(values[recipe.references])
        elif recipe.answered and len(turns) > 1 and turns[-1].role == "assistant":
            turns, targets = turns[:-1], (turns[-1].text,)
        if recipe.choice is None:
            return Example(turns, context, targets)
        candidates = (
            self._templates["candidate_0"].render(values),
            self._templates["candidate_1"].render(values),
        )
        return Example(turns, context, targets, candidates, self._preferred(values))

    def origin(self, path: str, example: Example) -> str:
        """The JSON path within the record of what rendered the value at ``path`` of the example's line."""
        recipe = self.recipe
        if turn := _TURN.match(path):
            number = int(turn[1])
            if recipe.messages is not None and (number < len(example.turns) or recipe.answered):
                return f"$.{recipe.messages}[{number}]" + (".content" if _is_text(path) else "")
            return self._column_of("prompt" if number < len(example.turns) else "output_text")
        if path.startswith(("$.messages", "$.contents")):
            return f"$.{recipe.messages}" if recipe.messages is not None else self._column_of("prompt")
        if (completion := _COMPLETION.match(path)) and not path.endswith(".score"):
            return self._column_of(f"candidate_{((example.preferred or 0) + int(completion[1])) % 2}")
        if recipe.references is not None:
            if reference := _REFERENCE.match(path):
                return f"$.{recipe.references}{reference[1] or ''}"
            if path == "$.output_text":
                return f"$.{recipe.references}[0]"
        for pattern, name in _ORIGINS:
            if pattern.match(path):
                if name == "prompt" and recipe.messages is not None:
                    return f"$.{recipe.messages}[0].content"
                if name == "output_text" and recipe.answered:
                    return f"$.{recipe.messages}[{len(example.turns)}].content"
                return self._column_of(name)
        return "$"

    def _column_of(self, name: str) -> str:
        template = self._templates.get(name)
        return f"$.{template.columns[0]}" if template is not None and template.columns else "$"

    def _preferred(self, values: Values) -> int:
        template = self._templates["choice"]
        text = template.render(values).strip()
        if text in ("0", "1"):
            return int(text)
        message = f"the choice is {quoted(text)}, not 0 or 1"
        raise TemplateFault(
            message,
            template.file,
            (self.recipe.choice or _NOWHERE).line,
            "write 0 where the first candidate is preferred, 1 where the second is",
            code="choice-out-of-range",
            path=self._column_of("choice"),
        )


_NOWHERE = TemplateText("", "")


def _is_text(path: str) -> bool:
    return path.endswith((".content", ".text"))


def load_recipe(folder: Path, spec: DatasetSpec) -> tuple[Recipe | None, list[Finding]]:
    """The recipe of a dataset folder, and every fault in its templates; no recipe where there is one.

    Nothing for a dataset that is not made of records.
    """
    from tunestack.spec.dataset import SPEC_FILE
    from tunestack.spec.document import line_and_column

    if spec.existing is not None or spec.embedding is not None:
        return None, []
    spec_file = folder / SPEC_FILE
    findings: list[Finding] = []
    texts: dict[str, TemplateText] = {}
    if spec.template is not None:
        try:
            path = folder / spec.template
            texts["prompt"] = TemplateText(path.read_text("utf-8-sig"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            line, column = line_and_column(spec_file, ("template",))
            message, fix = _reason(spec.template, error), "write the template or its name"
            findings.append(Finding(str(spec_file), line, column, "file-unreadable", "", message, fix))
    for name in ("context", "output_text", "candidate_0", "candidate_1", "choice"):
        if (source := getattr(spec, name)) is not None:
            line, column = line_and_column(spec_file, (name,))
            # A block of lines begins under its key.
            texts[name] = TemplateText(source, str(spec_file), line + ("\n" in source), column)
    for name, text in texts.items():
        try:
            compiled = text.compile(spec.columns)
            if name == "prompt" and not compiled.columns:
                fix = "put {{ text }} where the text goes"
                raise TemplateFault("the template uses no column", text.file, 1, fix)
        except TemplateFault as fault:
            findings.append(fault.finding())
    if findings:
        return None, findings
    answered = spec.messages is not None and spec.output_text is None and spec.format in ("chat", "gemini")
    recipe = Recipe(
        dict(spec.columns),
        texts.get("prompt"),
        spec.messages,
        texts.get("context"),
        texts.get("output_text"),
        texts.get("candidate_0"),
        texts.get("candidate_1"),
        texts.get("choice"),
        answered=answered,
    )
    return recipe, []


def _reason(file: str, error: OSError | UnicodeDecodeError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{file} does not exist"
    if isinstance(error, UnicodeDecodeError):
        return f"{file} is not UTF-8"
    return f"{file} cannot be read: {(error.strerror or type(error).__name__).lower()}"
