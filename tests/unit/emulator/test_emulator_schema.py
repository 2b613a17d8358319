"""The walk over Google's schemas: canonical form, checks, masks, patches, partial responses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunestack.emulator import partial_response
from tunestack.emulator.documents import load
from tunestack.emulator.errors import ApiError
from tunestack.emulator.schema import Walk, apply_mask, camel, merge_patch, snake

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), JSON, max_size=3)


def walked(name, body, document="aiplatform.v1beta1", **options):
    walk = Walk(load().schemas[document], request=True, **options)
    return walk.message(name, body), walk.violations


def test_snake_case_integer_enums_and_long_integers_become_canonical():
    body, violations = walked(
        "GoogleCloudAiplatformV1beta1TuningJob",
        {
            "base_model": "gemini",
            "supervised_tuning_spec": {
                "training_dataset_uri": "gs://b/x",
                "hyper_parameters": {"epoch_count": 3, "adapter_size": 2, "learning_rate_multiplier": 0.5},
            },
            "labels": {"snake_key": "stays"},
        },
    )
    assert violations == []
    spec = body["supervisedTuningSpec"]["hyperParameters"]
    # Number 2 is FOUR, though TWO stands second in Google's list: the proto's numbers count.
    assert spec == {"epochCount": "3", "adapterSize": "ADAPTER_SIZE_FOUR", "learningRateMultiplier": 0.5}
    assert body["labels"] == {"snake_key": "stays"}


def test_what_only_the_server_sets_is_left_out_of_a_request():
    body, violations = walked("GoogleCloudAiplatformV1beta1PipelineJob", {"state": 3, "displayName": "x"})
    assert (body, violations) == ({"displayName": "x"}, [])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"displayName": 1}, "displayName"),
        ({"nonsense": 1}, "nonsense"),
        ({"labels": []}, "labels"),
        ({"labels": {"a": 1}}, "labels.a"),
        (
            {"runtimeConfig": {"gcsOutputDirectory": "x", "failurePolicy": "NO"}},
            "runtimeConfig.failurePolicy",
        ),
        ({"runtimeConfig": {}}, "runtimeConfig.gcsOutputDirectory"),
        ({"runtimeConfig": "x"}, "runtimeConfig"),
        ({"reservedIpRanges": "x"}, "reservedIpRanges"),
        ({"preflightValidations": "yes"}, "preflightValidations"),
    ],
)
def test_each_wrong_field_is_named(body, field):
    _, violations = walked("GoogleCloudAiplatformV1beta1PipelineJob", body)
    assert [where for where, _ in violations] == [field]


def test_all_wrong_fields_are_named_at_once():
    _, violations = walked(
        "Bucket", {"versioning": {"enabled": "yes"}, "labels": 3, "x": 1}, document="storage.v1"
    )
    assert {where for where, _ in violations} == {"versioning.enabled", "labels", "x"}


def test_a_wider_versions_field_is_left_out_of_a_narrower_answer():
    schemas = load().schemas
    walk = Walk(schemas["aiplatform.v1"], request=False, wider=schemas["aiplatform.v1beta1"])
    body = walk.message(
        "GoogleCloudAiplatformV1PipelineJob", {"displayName": "x", "originalPipelineJobId": "3"}
    )
    assert (body, walk.violations) == ({"displayName": "x"}, [])
    walk.message("GoogleCloudAiplatformV1PipelineJob", {"nonsense": 1})
    assert walk.violations


@given(st.from_regex(r"[a-z]{1,5}(_[a-z]{1,5}){0,3}", fullmatch=True))
def test_names_come_back_from_camel_case(name):
    assert snake(camel(name)) == name


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_removes_nulls_and_is_idempotent(row, change):
    once = merge_patch(row, change)
    assert merge_patch(once, change) == once
    for key, value in change.items():
        assert (key in once) is (value is not None)


@given(OBJECTS, OBJECTS)
def test_a_mask_changes_only_what_it_names(row, change):
    masked = apply_mask(row, change, "a")
    assert masked.get("a") == change.get("a")
    assert {key: value for key, value in masked.items() if key != "a"} == {
        key: value for key, value in row.items() if key != "a"
    }


def test_a_partial_response_keeps_what_its_mask_names():
    body = {"items": [{"name": "a", "size": "1", "acl": {"x": 1, "y": 2}}], "nextPageToken": "t", "kind": "k"}

    def select(mask):
        return partial_response.select(body, partial_response.parse(mask))

    assert select("items(name,acl/x),nextPageToken") == {
        "items": [{"name": "a", "acl": {"x": 1}}],
        "nextPageToken": "t",
    }
    assert select("*") == body
    assert select("items/acl/y") == {"items": [{"acl": {"y": 2}}]}
    for wrong in ("items(", "a)", ",", "a//b", "(a)"):
        with pytest.raises(ApiError):
            select(wrong)
