"""Strict loading of a YAML document into a pydantic model: every problem at once, each at its own place.

The reader takes the YAML 1.2 core schema, not PyYAML's 1.1: ``no`` and ``on`` are text, ``1e-4`` is a number,
``2024-01-01`` stays text, and there are no merge keys. Types are not bent (``"8"`` is not a whole number). An
unknown key and a misspelt value are errors that name the nearest allowed one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError, to_json

from tunestack.spec.errors import Problem, TunestackError
from tunestack.spec.source import TAG, Place, compose, malformed, plain, render
from tunestack.spec.suggestion import listed, nearest, write

Model = TypeVar("Model", bound=BaseModel)
Location = tuple[str | int, ...]


def load_document(path: Path, model: type[Model], variables: Mapping[str, str] | None = None) -> Model:
    """Read ``path`` as ``model``; with ``variables``, render it with Jinja2 (strict, sandboxed) first.

    Raises TunestackError with a Problem for everything that is wrong. ``where`` is ``file:line:column``,
    counted from 1; after rendering, the line is that of the source and the column that of the rendered line.
    """
    try:
        source = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = Problem("encoding", "the file is not UTF-8", f"{path}:{line}", fix="save it as UTF-8")
        raise TunestackError(problem) from None
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise TunestackError(
            Problem("file-unreadable", f"cannot read the file: {reason}", str(path)), exit_status=2
        ) from None
    return parse_document(source, str(path), model, variables)


def parse_document(
    source: str, name: str, model: type[Model], variables: Mapping[str, str] | None = None
) -> Model:
    """As load_document, of text in hand; ``name`` stands for the file in every message."""
    source, place = (source, Place(name)) if variables is None else render(source, name, variables)
    root = compose(source, place)
    found = list(malformed(root, place))
    if any(problem.code != "duplicate-key" for _, problem in found):
        raise TunestackError(*_merged(found))
    try:
        # By way of JSON: pydantic's strict JSON mode is the one meant for documents. It takes a list for a
        # tuple and text for a path or an enumeration, and bends nothing else.
        valid = model.model_validate_json(to_json(plain(root), inf_nan_mode="constants"), strict=True)
    except ValidationError as error:
        details = list(_parted(error.errors(include_url=False)))
        meant = {each["loc"]: word for each in details if (word := _meant(each, details)) is not None}
        told = {(*location[:-1], word) for location, word in meant.items()}
        found.extend(
            _explain(each, root, model, place, meant.get(each["loc"]))
            for each in details
            if not (each["type"] == "missing" and each["loc"] in told)
        )
    if found:
        raise TunestackError(*_merged(found))
    return valid


def line_and_column(
    path: Path, location: Location, variables: Mapping[str, str] | None = None
) -> tuple[int, int]:
    """Where, counted from 1, the value at ``location`` stands in a document that has been loaded before.

    Of a key that is not written there, the mapping it would stand in.
    """
    source = path.read_text("utf-8-sig")
    source, place = (source, Place(str(path))) if variables is None else render(source, str(path), variables)
    mark = _find(compose(source, place), location)[1].start_mark
    return place.line(mark.line), mark.column + 1


def place_of(path: Path, location: Location, variables: Mapping[str, str] | None = None) -> str:
    """As line_and_column, as `file:line:column`."""
    line, column = line_and_column(path, location, variables)
    return f"{path}:{line}:{column}"


def misfit(
    message: str, *at: str | int, need: str = "", fix: str = "", code: str = "value-invalid"
) -> PydanticCustomError:
    """For a model's own validator to raise: values that do not fit together, reported at the key ``at``.

    ``at`` is relative to the model (or field) that validates, so a model can point at one of its keys.
    """
    return PydanticCustomError(
        "misfit", "{message}", {"message": message, "at": at, "need": need, "fix": fix, "code": code}
    )


def misfits(*several: PydanticCustomError) -> PydanticCustomError:
    """For a model's own validator to raise: several of `misfit` at once."""
    return PydanticCustomError("misfits", "several values do not fit together", {"each": several})


def _parted(details: Iterable[ErrorDetails]) -> Iterator[ErrorDetails]:
    """The details, each of several misfits as one of its own."""
    for detail in details:
        for each in (detail.get("ctx") or {}).get("each", ()) if detail["type"] == "misfits" else (None,):
            if each is None:
                yield detail
            else:
                yield {**detail, "type": each.type, "msg": each.message(), "ctx": each.context}


_NEED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
    "model_attributes_type": "a mapping of keys to values",
    "dataclass_type": "a mapping of keys to values",
    "path_type": "a path",
    "none_required": "nothing (null)",
}


def _meant(detail: ErrorDetails, details: Iterable[ErrorDetails]) -> str | None:
    """The missing key beside an unknown one that is its right spelling: one mistake, told once."""
    if detail["type"] != "extra_forbidden":
        return None
    beside = detail["loc"][:-1]
    missing = [
        each["loc"][-1] for each in details if each["type"] == "missing" and each["loc"][:-1] == beside
    ]
    return nearest(str(detail["loc"][-1]), map(str, missing))


def _explain(
    detail: ErrorDetails, root: yaml.Node, model: type[BaseModel], place: Place, meant: str | None
) -> tuple[yaml.Mark, Problem]:
    context: dict[str, Any] = dict(detail.get("ctx") or {})
    location: Location = (*detail["loc"], *context.get("at", ()))
    kind, message = detail["type"], detail["msg"]
    key, node = _find(root, location)
    dotted = _dotted(root, location) or "the document"
    if kind == "extra_forbidden":
        allowed = sorted(_keys_at(model, location[:-1]))
        word = str(location[-1])
        mark = key.start_mark if key is not None else node.start_mark
        return mark, Problem(
            "unknown-key",
            f"unknown key `{word}`" + (f" in `{_dotted(root, location[:-1])}`" if dotted != word else ""),
            place.at(mark),
            need=listed(allowed),
            fix=write(meant or nearest(word, allowed)) or "delete the key",
        )
    if kind == "missing":
        return node.start_mark, Problem(
            "missing-key",
            f"the key `{dotted}` is missing",
            place.at(node.start_mark),
            need=_description(model, location),
            fix=f"add `{location[-1]}: …`",
        )
    have = _shown(node)
    if kind in _NEED:
        code, message, need, fix = "wrong-type", f"`{dotted}` has the wrong type", _NEED[kind], ""
        if kind == "string_type" and isinstance(node, yaml.ScalarNode) and node.value:
            fix = f'write "{node.value}" with quotation marks, or another text'
    elif kind in ("literal_error", "enum"):
        allowed = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        code, message, need = (
            "value-not-allowed",
            f"`{dotted}` has a value that is not allowed",
            listed(allowed),
        )
        fix = write(nearest(str(node.value), allowed)) if isinstance(node, yaml.ScalarNode) else ""
    elif kind == "misfit":
        code, message, need, fix = context["code"], message, context["need"], context["fix"]
        have = "" if code == "missing-key" else have
    elif kind in ("value_error", "assertion_error"):
        code, message, need, fix = "value-invalid", f"`{dotted}`: {context.get('error', message)}", "", ""
    else:
        code, need, fix = (
            "value-invalid",
            message.removeprefix("Input should be ").removeprefix("Value should have "),
            "",
        )
        message = f"`{dotted}` does not fit"
    return node.start_mark, Problem(
        code, message.replace("``: ", ""), place.at(node.start_mark), have, need, fix
    )


def _merged(found: Iterable[tuple[yaml.Mark, Problem]]) -> list[Problem]:
    """In the order of the file; what is said once per alternative of a union becomes one problem."""
    problems: dict[tuple[str, ...], Problem] = {}
    for _, problem in sorted(found, key=lambda pair: (pair[0].line, pair[0].column)):
        identity = (problem.where, problem.code, problem.message)
        earlier = problems.get(identity)
        if earlier is None:
            problems[identity] = problem
        elif problem.need not in earlier.need.split(" or "):
            problems[identity] = earlier._replace(need=f"{earlier.need} or {problem.need}", fix="")
    return list(problems.values())


def _steps(root: yaml.Node, location: Location) -> Iterator[tuple[str | int, yaml.Node | None, yaml.Node]]:
    """Key, key node and value node of every step that exists; pydantic's union tags are no steps."""
    node = root
    for step in location:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if key.value == str(step):
                    yield step, key, value
                    node = value
                    break
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            yield step, None, node


def _find(root: yaml.Node, location: Location) -> tuple[yaml.Node | None, yaml.Node]:
    key, node = None, root
    for _, key, node in _steps(root, location):  # noqa: B007 - the last one is wanted
        pass
    return key, node


def _dotted(root: yaml.Node, location: Location) -> str:
    steps = [step for step, _, _ in _steps(root, location)]
    if location and (not steps or steps[-1] != location[-1]) and _is_key(location[-1]):
        steps.append(location[-1])
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).removeprefix(".")


def _is_key(step: str | int) -> bool:
    return (
        isinstance(step, str) and step.isidentifier() and step not in ("str", "int", "float", "bool", "none")
    )


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _models_at(model: type[BaseModel], location: Location) -> list[type[BaseModel]]:
    """The models that may stand at ``location``; indexes, mapping keys and union tags lead nowhere new."""
    models = [model]
    for step in location:
        fields = [candidate.model_fields[step] for candidate in models if step in candidate.model_fields]
        if fields:
            models = [inner for field in fields for inner in _models_in(field.annotation)]
    return models


def _keys_at(model: type[BaseModel], location: Location) -> set[str]:
    return {
        field.alias or name for one in _models_at(model, location) for name, field in one.model_fields.items()
    }


def _description(model: type[BaseModel], location: Location) -> str:
    for one in _models_at(model, location[:-1]):
        for name, field in one.model_fields.items():
            if location[-1] in (name, field.alias):
                return field.description or ""
    return ""


def _shown(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a mapping of keys to values"
    if isinstance(node, yaml.SequenceNode):
        return f"a list of {len(node.value)}"
    text = node.value if len(node.value) <= 80 else node.value[:79] + "…"
    match node.tag.removeprefix(TAG):
        case "null":
            return "nothing (null)"
        case "str":
            return f'the text "{text}"'
        case "bool":
            return f"{text} (true or false)"
        case _:
            return f"the number {text}"
