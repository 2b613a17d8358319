"""Values over the wire, differences and patches: pure parts of the stand-in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pulumi.runtime import rpc

from tunestack.emulator.gcp_provider import values
from tunestack.emulator.gcp_provider.configuration import ATTRIBUTION, configure, failures, is_loopback
from tunestack.emulator.gcp_provider.difference import Change, changes
from tunestack.emulator.gcp_provider.mapping import patch
from tunestack.emulator.gcp_provider.schema import Autoname, MissingVariable, Property, expand

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


def test_the_markers_are_those_of_the_sdk():
    assert rpc._special_sig_key == values.SIGNATURE
    assert rpc._special_secret_sig == values.SECRET
    assert rpc._special_asset_sig == values.ASSET
    assert rpc._special_archive_sig == values.ARCHIVE
    assert rpc._special_output_value_sig == values.OUTPUT
    assert rpc._special_resource_sig == values.RESOURCE
    assert values.UNKNOWN == rpc.UNKNOWN


@given(
    st.dictionaries(st.text("abcd", min_size=1, max_size=4), plain, max_size=4),
    st.sets(st.sampled_from("abcd")),
)
def test_values_cross_the_wire_unchanged(given_values: dict[str, Any], secrets: set[str]):
    present = {name: value for name, value in given_values.items() if value is not None}
    read = values.read(values.write(given_values, secrets))
    assert read.values == present
    assert read.secrets == secrets & present.keys()


def test_a_secret_inside_a_property_makes_the_property_secret():
    struct = values.write({"a": {"b": [{values.SIGNATURE: values.SECRET, "value": "x"}]}, "c": "d"})
    assert values.read(struct) == values.Properties({"a": {"b": ["x"]}, "c": "d"}, frozenset({"a"}))


def test_outputs_and_references_of_resources_are_read_as_their_values():
    struct = values.write(
        {
            "known": {values.SIGNATURE: values.OUTPUT, "value": "x", "secret": True},
            "open": {values.SIGNATURE: values.OUTPUT},
            "resource": {values.SIGNATURE: values.RESOURCE, "urn": "urn:x", "id": "id"},
        }
    )
    expected = {"known": "x", "open": values.UNKNOWN, "resource": "id"}
    assert values.read(struct) == values.Properties(expected, frozenset({"known"}))


SETTINGS = (
    Property(name="name", replaces=True),
    Property(name="size", kind="integer"),
    Property(name="mode", server_default=True),
    Property(name="tags", kind="map"),
    Property(name="made", output=True),
    Property(name="zones", kind="list", unordered=True),
    Property(
        name="policy",
        kind="object",
        fields=(Property(name="on", kind="boolean"), Property(name="days", kind="integer", default=7)),
    ),
)


@pytest.mark.parametrize(
    ("have", "want", "expected"),
    [
        ({"name": "a"}, {"name": "b"}, [Change("name", "update", True)]),
        ({"size": 3}, {}, [Change("size", "delete")]),
        ({}, {"size": 0}, []),
        ({"mode": "chosen"}, {}, []),
        ({"mode": "chosen"}, {"mode": "other"}, [Change("mode", "update")]),
        ({"made": "then"}, {}, []),
        (
            {"tags": {"a": "1"}},
            {"tags": {"a": "2", "b/c": "3"}},
            [Change("tags.a", "update"), Change('tags["b/c"]', "add")],
        ),
        ({"zones": ["b", "a"]}, {"zones": ["a", "b"]}, []),
        ({"policy": {"on": True, "days": 7}}, {"policy": {"on": True}}, []),
        ({"policy": {"on": True, "days": 9}}, {"policy": {"on": True}}, [Change("policy.days", "update")]),
        ({"policy": {"on": True, "days": 7}}, {}, [Change("policy", "delete")]),
        ({}, {"policy": {"on": True}}, [Change("policy", "add")]),
        ({"size": 3}, {"size": values.UNKNOWN}, [Change("size", "update")]),
    ],
)
def test_differences_follow_terraforms_rules(have, want, expected):
    assert list(changes(SETTINGS, have, want)) == expected


def test_a_merge_patch_takes_away_what_the_program_dropped():
    policy = next(item for item in SETTINGS if item.name == "policy")
    tags = next(item for item in SETTINGS if item.name == "tags")
    assert patch(policy, {"on": True, "days": 9}, {"days": 9}) == {"days": 9, "on": None}
    assert patch(tags, {"a": "1", "b": "2"}, {"b": "3"}) == {"a": None, "b": "3"}
    assert patch(tags, {"a": "1"}, None) is None


def test_addresses_encode_names_and_refuse_what_is_not_known_yet():
    assert (
        expand("b/{bucket}/o/{name}", {"bucket": "b", "name": "a/ä b"}, encoded=True)
        == "b/b/o/a%2F%C3%A4%20b"
    )
    assert expand("{+name}:setIamPolicy", {"name": "projects/p"}, encoded=True) == "projects/p:setIamPolicy"
    with pytest.raises(MissingVariable):
        expand("{name}", {"name": values.UNKNOWN})


@given(st.text(min_size=1, max_size=90), st.binary(min_size=1))
def test_an_automatic_name_fits_and_knows_itself(logical: str, seed: bytes):
    autoname = Autoname(maximum=30)
    name = autoname.name(logical, seed)
    assert name == autoname.name(logical, seed)
    assert len(name) <= 30
    assert autoname.made(logical, name)
    assert not autoname.made(logical, "someone-elses-name")


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("http://127.0.0.1:8571/storage/v1/", True),
        ("http://localhost:1/", True),
        ("http://[::1]:8571/", True),
        ("https://storage.googleapis.com/", False),
        ("http://127.0.0.1.evil.example/", False),
        ("http://127.0.0.1@evil.example/", False),
        ("127.0.0.1:8571", False),
        ("http://0.0.0.0:8571/", False),
    ],
)
def test_loopback_is_this_machine_only(address: str, loopback: bool):
    assert is_loopback(address) == loopback


def test_the_real_providers_environment_variables_count_and_are_checked():
    environment = {"GOOGLE_STORAGE_CUSTOM_ENDPOINT": "http://127.0.0.1:9/storage/v1/", "GOOGLE_PROJECT": "p"}
    configured = configure({}, environment)
    assert configured.endpoints == {"storage": "http://127.0.0.1:9/storage/v1/"}
    assert configured.project == "p"
    assert failures({}, environment) == []
    refused = failures({}, {"GOOGLE_STORAGE_CUSTOM_ENDPOINT": "https://storage.googleapis.com/"})
    assert [key for key, _ in refused] == ["storageCustomEndpoint"]


def test_nested_settings_are_json_in_a_string():
    configured = configure({"defaultLabels": '{"a": "b"}', "addPulumiAttributionLabel": "false"}, {})
    assert configured.labels_to_add(creating=True) == {"a": "b"}
    assert configure({}, {}).labels_to_add(creating=True) == {ATTRIBUTION: "true"}
    assert configure({}, {}).labels_to_add(creating=False) == {}
