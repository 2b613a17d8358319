"""The tables against pulumi-gcp's own classes, and what must hold for every table."""

from __future__ import annotations

import importlib
import inspect
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunestack.emulator.gcp_provider import mapping
from tunestack.emulator.gcp_provider.check import check
from tunestack.emulator.gcp_provider.difference import changes
from tunestack.emulator.gcp_provider.resources import TYPES
from tunestack.emulator.gcp_provider.schema import Property, ResourceType, expand, parse, variables_of

CLASSES = {
    "gcp:storage/bucket:Bucket": ("storage", "Bucket"),
    "gcp:storage/bucketObject:BucketObject": ("storage", "BucketObject"),
    "gcp:storage/bucketIAMMember:BucketIAMMember": ("storage", "BucketIAMMember"),
    "gcp:projects/iAMMember:IAMMember": ("projects", "IAMMember"),
    "gcp:projects/service:Service": ("projects", "Service"),
    "gcp:serviceaccount/account:Account": ("serviceaccount", "Account"),
    "gcp:serviceaccount/iAMMember:IAMMember": ("serviceaccount", "IAMMember"),
    "gcp:vertex/aiEndpoint:AiEndpoint": ("vertex", "AiEndpoint"),
    "gcp:vertex/aiTensorboard:AiTensorboard": ("vertex", "AiTensorboard"),
}
each_type = pytest.mark.parametrize("resource", TYPES.values(), ids=lambda resource: resource.name)


def wire_names(cls: type) -> set[str]:
    """Names of a generated class's properties as they go over the wire."""
    members = inspect.getmembers(cls, lambda member: isinstance(member, property))
    return {getattr(member.fget, "_pulumi_name", name) for name, member in members}


def test_every_table_has_its_class_and_every_class_its_table():
    assert set(CLASSES) == set(TYPES)


@each_type
def test_a_table_has_exactly_the_properties_of_pulumi_gcp(resource: ResourceType):
    package, name = CLASSES[resource.name]
    cls = getattr(importlib.import_module(f"pulumi_gcp.{package}"), name)
    module = inspect.getmodule(cls)
    inputs, state = wire_names(getattr(module, f"{name}Args")), wire_names(getattr(module, f"_{name}State"))
    assert {item.name for item in resource.properties if not item.output} | set(resource.refused) == inputs
    assert {item.name for item in resource.properties} | set(resource.refused) == inputs | state
    assert resource.name in inspect.getsource(cls)


@each_type
def test_nested_properties_are_those_of_pulumi_gcp(resource: ResourceType):
    package, name = CLASSES[resource.name]
    declared = importlib.import_module(f"pulumi_gcp.{package}._inputs")
    for item in resource.properties:
        compare_nested(item, name, declared)


def compare_nested(item: Property, owner: str, declared: Any) -> None:
    if not item.fields:
        return
    singular = {"ies": "y"}
    base = item.name[0].upper() + item.name[1:]
    candidates = [base, base[:-1], base[:-3] + singular.get(base[-3:], base[-3:])]
    classes = [getattr(declared, f"{owner}{each}Args", None) for each in candidates]
    cls = next((each for each in classes if each is not None), None)
    assert cls is not None, f"{owner} has no class for {item.name}"
    assert {part.name for part in item.fields} == wire_names(cls), item.name
    for part in item.fields:
        compare_nested(part, cls.__name__.removesuffix("Args"), declared)


def value_of(item: Property) -> st.SearchStrategy[Any]:
    """Values that a program may give for a property."""
    text = st.text(alphabet="abcxyz0189-", min_size=1, max_size=8)
    if item.allowed:
        return st.sampled_from(item.allowed)
    if item.name == "trafficSplit":
        return st.dictionaries(st.sampled_from(["1", "2"]), st.just(100), min_size=1).map(json.dumps)
    match item.kind:
        case "integer":
            return st.integers(1, 2**40)
        case "number":
            return st.floats(0.1, 1)
        case "boolean":
            return st.booleans()
        case "map" | "labels":
            return st.dictionaries(text, text, max_size=3)
        case "object":
            return inputs_of(item.fields)
        case "list":
            entry = inputs_of(item.fields) if item.fields else text
            return st.lists(entry, max_size=3, unique_by=json.dumps)
    return text


@st.composite
def inputs_of(draw: st.DrawFn, properties: tuple[Property, ...]) -> dict[str, Any]:
    """What a program may say: all that is required, and a few of the rest."""
    inputs = [item for item in properties if not item.output and item.kind != "asset"]
    optional = [item for item in inputs if not item.required]
    chosen = draw(st.lists(st.sampled_from(optional), max_size=4, unique=True)) if optional else []
    return {item.name: draw(value_of(item)) for item in inputs if item.required or item in chosen}


@each_type
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_what_is_sent_and_echoed_is_no_difference(resource: ResourceType, data: st.DataObject):
    """Google's JSON holds all that the program said: read back, nothing is left to change."""
    inputs = data.draw(inputs_of(resource.properties))
    body = json.loads(json.dumps(mapping.encode(resource.properties, inputs)))
    state = mapping.decode(resource.properties, body)
    sent = [
        item
        for item in resource.properties
        if item.path is not None and item.name not in state_only(resource)
    ]
    assert list(changes(sent, state, {**inputs, **contexts_in_order(inputs)})) == []


def state_only(resource: ResourceType) -> set[str]:
    """Properties that another request than the echoed body carries (read back under another name, or derived)."""
    return {
        item.name for item in resource.properties if item.rest in ("name", "email", "objectRetention.mode")
    }


def contexts_in_order(inputs: dict[str, Any]) -> dict[str, Any]:
    """Contexts are a map at Google's: the last of two entries with one key wins, and order is lost."""
    customs = {entry["key"]: entry for entry in inputs.get("contexts", {}).get("customs", [])}
    if not customs:
        return {}
    return {"contexts": {"customs": [customs[key] for key in sorted(customs)]}}


@each_type
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_a_changed_input_is_a_change_at_its_place_and_only_there(resource: ResourceType, data: st.DataObject):
    inputs = data.draw(inputs_of(resource.properties))
    candidates = [
        item
        for item in resource.properties
        if not item.output and item.kind == "text" and item.canonical is None
    ]
    changed = data.draw(st.sampled_from([item for item in candidates if not item.allowed]))
    have = {item.name: item.default for item in resource.properties if item.default is not None} | inputs
    defaults = set(changes(resource.properties, have, inputs))
    found = set(changes(resource.properties, have, {**inputs, changed.name: "changed"})) - defaults
    assert {(change.path, change.replaces) for change in found} == {(changed.name, changed.replaces)}


@each_type
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_checking_twice_is_checking_once(resource: ResourceType, data: st.DataObject):
    inputs = data.draw(inputs_of(resource.properties))
    once, failures = check(resource, "logical", b"seed", {}, inputs)
    assert failures == []
    assert check(resource, "logical", b"another seed", once, inputs)[0] == once
    assert check(resource, "logical", b"seed", once, once) == (once, [])


@each_type
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_an_id_names_its_resource(resource: ResourceType, data: st.DataObject):
    text = st.text(alphabet="abc019._@-", min_size=1)
    for template in (resource.id, *resource.imports):
        chosen = {name: data.draw(text) for name in variables_of(template)}
        identity = expand(template, chosen)
        found = parse(template, identity)
        assert found is not None
        assert expand(template, found) == identity
