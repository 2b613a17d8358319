"""Checking a resource's inputs against its typed model, property by property.

A pydantic model is checked whole or not at all, and refuses what Pulumi calls unknown; here every property is checked
by its own field and what is unknown passes, so that a preview lists all problems at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo

from tunestack.provider.resource import PropertyProblem
from tunestack.provider.values import Properties, has_unknown, plain


class Inputs(BaseModel):
    """Base of a resource's inputs: camelCase on the wire, strict types, no unknown property."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", strict=True, frozen=True
    )


InputsT = TypeVar("InputsT", bound=Inputs)


@cache
def _fields(model: type[Inputs]) -> dict[str, tuple[FieldInfo, TypeAdapter[Any]]]:
    return {str(info.alias): (info, _adapter(info)) for info in model.model_fields.values()}


def _adapter(info: FieldInfo) -> TypeAdapter[Any]:
    rules: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    return TypeAdapter(rules)


def check_inputs(model: type[Inputs], inputs: Properties) -> tuple[Properties, list[PropertyProblem]]:
    """The inputs with the model's defaults, and every problem of a known value."""
    fields = _fields(model)
    checked: Properties = {}
    problems = [
        PropertyProblem(name, f"no such property{_suggestion(name, list(fields))}")
        for name in inputs
        if name not in fields
    ]
    for name, (info, adapter) in fields.items():
        value = inputs.get(name)
        if value is None:
            if info.is_required():
                problems.append(PropertyProblem(name, "is required"))
            elif info.default is not None:
                checked[name] = info.get_default(call_default_factory=True)
            continue
        checked[name] = value
        try:
            adapter.validate_python(plain(value), strict=True)
        except ValidationError as error:
            problems += [
                PropertyProblem(_path(name, item["loc"]), item["msg"].removeprefix("Value error, "))
                for item in error.errors(include_url=False)
                # What is known inside a value that is partly unknown is checked all the same.
                if item["type"] == "missing" or not has_unknown(item["input"])
            ]
    return checked, problems


def parse_inputs(model: type[InputsT], inputs: Properties) -> InputsT:
    """The typed inputs of a real operation, which the engine has had checked before."""
    fields = _fields(model)
    return model.model_validate({key: plain(value) for key, value in inputs.items() if key in fields})


def known_fields(model: type[BaseModel], json: object) -> Any:
    """What of a JSON object a model has fields for, at any depth; the rest, which newer servers add, is left out."""
    if not isinstance(json, Mapping):
        return json
    fields = {str(info.alias): info.annotation for info in model.model_fields.values()}
    return {key: _known(fields[key], value) for key, value in json.items() if key in fields}


def _known(annotation: Any, value: object) -> Any:
    models = [part for part in _parts(annotation) if isinstance(part, type) and issubclass(part, BaseModel)]
    if not models:
        return value
    if isinstance(value, list):
        return [known_fields(models[0], item) for item in value]
    if isinstance(value, Mapping) and any(get_origin(part) is dict for part in _parts(annotation)):
        return {key: known_fields(models[0], item) for key, item in value.items()}
    return known_fields(models[0], value)


def whole_numbers(json: Any, keys: frozenset[str]) -> Any:
    """The values under ``keys``, at any depth, as integers: Google's JSON writes an int64 as a string."""
    if isinstance(json, Mapping):
        return {
            key: int(value)
            if key in keys and isinstance(value, str) and value.isdigit()
            else whole_numbers(value, keys)
            for key, value in json.items()
        }
    return [whole_numbers(item, keys) for item in json] if isinstance(json, list) else json


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for argument in get_args(annotation):
        yield from _parts(argument)


def _suggestion(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(known))}"


def _path(name: str, location: tuple[int | str, ...]) -> str:
    path = name
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part != "[key]":
            path += f'["{part}"]' if not part.isidentifier() else f".{part}"
    return path
