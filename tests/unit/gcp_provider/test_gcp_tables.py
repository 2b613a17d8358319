"""The tables against pulumi-gcp's own classes, and what must hold for every table."""

from __future__ import annotations

import importlib.util
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunestack.emulator.gcp_provider import mapping
from tunestack.emulator.gcp_provider.check import check
from tunestack.emulator.gcp_provider.declared import TableError, declarations, declared
from tunestack.emulator.gcp_provider.difference import changes
from tunestack.emulator.gcp_provider.functions import FUNCTIONS
from tunestack.emulator.gcp_provider.resources import TYPES
from tunestack.emulator.gcp_provider.schema import Property, ResourceType, expand, parse, variables_of

#: Of the policies, which are made alike for each holder, those of projects.
SERVED = [
    resource
    for resource in TYPES.values()
    if not isinstance(resource.lifecycle, partial) or resource.name.startswith("gcp:projects/")
]
each_type = pytest.mark.parametrize("resource", SERVED, ids=lambda resource: resource.name)
#: Without the policies', which no echoed body fills: their addresses and answers are their holder's.
each_table = pytest.mark.parametrize(
    "resource",
    [resource for resource in TYPES.values() if not isinstance(resource.lifecycle, partial)],
    ids=lambda resource: resource.name,
)
ROOT = Path(__file__).parents[3]


def test_the_declarations_are_those_of_the_installed_package():
    """A new pulumi-gcp changes them: `python tools/gcp_declarations.py` writes them anew."""
    spec = importlib.util.spec_from_file_location("gcp_declarations", ROOT / "tools" / "gcp_declarations.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.TARGET.read_text() == tool.text()


def test_every_declared_type_has_its_table_and_every_function_its_answer():
    assert set(declarations()["resources"]) == set(TYPES)
    assert set(declarations()["functions"]) == set(FUNCTIONS)


def test_a_table_that_speaks_of_a_property_that_is_not_there_is_refused():
    with pytest.raises(TableError, match=r"has no schemaSettings\.encodings"):
        declared("gcp:pubsub/topic:Topic", replaces="name schemaSettings.encodings")


@each_table
def test_what_a_template_asks_for_is_a_property_or_the_providers(resource: ResourceType):
    known = {item.name for item in resource.properties} | {"project", "id", "account", "dashboard"}
    calls = [call for call in (resource.create, resource.read, resource.update, resource.delete) if call]
    for template in (resource.id, *(call.url for call in calls)):
        assert set(variables_of(template)) <= known


#: Properties whose text is JSON, with values that Google takes.
TEXTS_OF_JSON: dict[str, list[Any]] = {
    "trafficSplit": [{"1": 100}, {"1": 30, "2": 70}],
    "policyData": [{"bindings": [{"role": "roles/viewer", "members": ["user:a@example.org"]}]}, {}],
    "dashboardJson": [{"displayName": "a"}, {"displayName": "b", "gridLayout": {"columns": "2"}}],
    "schema": [[{"name": "a", "type": "STRING"}], [{"name": "b", "type": "INTEGER", "mode": "REQUIRED"}]],
}


def value_of(item: Property) -> st.SearchStrategy[Any]:
    """Values that a program may give for a property."""
    text = st.text(alphabet="abcxyz0189-", min_size=1, max_size=8)
    if item.allowed:
        return st.sampled_from(item.allowed)
    if item.name in TEXTS_OF_JSON:
        return st.sampled_from(TEXTS_OF_JSON[item.name]).map(json.dumps)
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


@each_table
@given(data=st.data())
@settings(max_examples=8, deadline=None)
def test_what_is_sent_and_echoed_is_no_difference(resource: ResourceType, data: st.DataObject):
    """Google's JSON holds all that the program said: read back, nothing is left to change."""
    inputs = keyed(data.draw(inputs_of(resource.properties)))
    body = json.loads(json.dumps(mapping.encode(resource.properties, inputs)))
    state = mapping.decode(resource.properties, body)
    # What is carried by another request, or under the name of the whole, is not in this body.
    sent = [
        item
        for item in resource.properties
        if item.path is not None
        and not item.output
        and not item.kept
        and item.rest not in ("name", "email")
        and (mapping.wanted(item, inputs) is None or mapping.encode((item,), inputs))
    ]
    assert list(changes(sent, state, inputs)) == []


def keyed(inputs: dict[str, Any]) -> dict[str, Any]:
    """Some lists of ours are maps at Google's: of two entries with one key the last wins, and order is lost."""
    found = {**inputs}
    if customs := (inputs.get("contexts") or {}).get("customs"):
        entries = {entry["key"]: entry for entry in customs}
        found["contexts"] = {"customs": [entries[key] for key in sorted(entries)]}
    if policies := inputs.get("cleanupPolicies"):
        found["cleanupPolicies"] = list({each["id"]: each for each in policies}.values())
    return found


def plain_texts(resource: ResourceType) -> list[Property]:
    """Inputs of which every value is another."""
    return [
        item
        for item in resource.properties
        if not (item.output or item.allowed or item.canonical) and item.kind == "text"
    ]


@pytest.mark.parametrize("resource", list(filter(plain_texts, SERVED)), ids=lambda resource: resource.name)
@given(data=st.data())
@settings(max_examples=5, deadline=None)
def test_a_changed_input_is_a_change_at_its_place_and_only_there(resource: ResourceType, data: st.DataObject):
    inputs = data.draw(inputs_of(resource.properties))
    changed = data.draw(st.sampled_from(plain_texts(resource)))
    have = {item.name: item.default for item in resource.properties if item.default is not None} | inputs
    defaults = set(changes(resource.properties, have, inputs))
    found = set(changes(resource.properties, have, {**inputs, changed.name: "changed"})) - defaults
    assert {(change.path, change.replaces) for change in found} == {(changed.name, changed.replaces)}


@each_type
@given(data=st.data())
@settings(max_examples=5, deadline=None)
def test_checking_twice_is_checking_once(resource: ResourceType, data: st.DataObject):
    inputs = data.draw(inputs_of(resource.properties))
    once, failures = check(resource, "logical", b"seed", {}, inputs)
    assert failures == []
    assert check(resource, "logical", b"another seed", once, inputs)[0] == once
    assert check(resource, "logical", b"seed", once, once) == (once, [])


@each_type
@given(data=st.data())
@settings(max_examples=6, deadline=None)
def test_an_id_names_its_resource(resource: ResourceType, data: st.DataObject):
    text = st.text(alphabet="abc019._@-", min_size=1)
    for template in (resource.id, *resource.imports):
        chosen = {name: data.draw(text) for name in variables_of(template)}
        identity = expand(template, chosen)
        found = parse(template, identity)
        assert found is not None
        assert expand(template, found) == identity
