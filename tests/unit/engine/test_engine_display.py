"""What people see, from the events of Pulumi's own engine."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tunestack.engine.display import (
    JsonDisplay,
    create_display,
    preview_digest,
    render_steps,
    seconds,
    short_type,
)
from tunestack.engine.options import Operation, OperationResult

TRACES = Path(__file__).parents[2] / "contract" / "engine" / "traces"
EVENTS = [json.loads(line) for line in (TRACES / "up-create-events.jsonl").read_text().splitlines()]
URN = "urn:pulumi:dev::toyproj::toy:index:Thing::a"


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def shown(events: list[dict[str, Any]], operation: Operation = Operation.UP, **options: Any) -> str:
    stream = io.StringIO()
    with create_display(operation, "dev", stream, clock=Clock(), **options) as display:
        for event in events:
            display.event(event)
    return stream.getvalue()


def test_lines_are_those_of_the_cli() -> None:
    text = shown(EVENTS)
    lines = text.splitlines()
    assert lines[0] == "Updating (dev):"
    for line in (
        " +  toy:index:Thing a creating (0s)",
        " +  toy:index:Thing a creating (0s) submitted things/a-4752ff",
        " +  toy:index:Thing a created (0s)",
        " +  pulumi:pulumi:Stack toyproj-dev created (0s)",
        "Diagnostics:",
        "  toy:index:Thing (c):",
        "    submitted things/c-fb499f",
        '    a_state: "DONE"',
        '        [0]: "eu"',
        "    + 4 created",
        "Duration: 1s",
    ):
        assert line in lines
    assert "\x1b" not in text
    assert "debug" not in text


def progress(text: str) -> dict[str, Any]:
    return {"diagnosticEvent": {"urn": URN, "message": f"{text}\n", "severity": "info", "ephemeral": True}}


def begin() -> dict[str, Any]:
    return next(
        event for event in EVENTS if event.get("resourcePreEvent", {}).get("metadata", {}).get("urn") == URN
    )


def test_progress_is_a_heartbeat_where_there_is_no_terminal() -> None:
    stream, clock = io.StringIO(), Clock()
    with create_display(Operation.UP, "dev", stream, clock=clock) as display:
        display.event(begin())
        for step in range(600):  # ten minutes, a message a second
            clock.now += 1
            display.event(progress(f"step {step} of 600"))
    spoken = [line for line in stream.getvalue().splitlines() if "step" in line]
    assert len(spoken) == 20
    assert "creating (1m01s) step 60 of 600" in stream.getvalue()


@pytest.fixture
def terminal() -> Iterator[tuple[Any, Clock]]:
    clock = Clock()
    display = create_display(Operation.UP, "dev", io.StringIO(), interactive=True, clock=clock)
    yield display, clock
    display.close()


def drawn(display: Any, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, height=30, color_system=None)
    console.print(display._draw())
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def test_the_tree_shows_the_newest_message_and_a_bar(terminal: tuple[Any, Clock]) -> None:
    display, clock = terminal
    assert "starting the program" in drawn(display)
    for event in EVENTS[:6]:
        display.event(event)
    display.event(begin())
    clock.now += 75
    display.event(progress("training · 34 % · ETA 40s"))
    row = next(line for line in drawn(display).splitlines() if "34 %" in line)
    assert re.match(r"\+ +[└├]─ Thing ", row), row
    assert "creating (1m15s)" in row
    assert row.count("━") == 10
    narrow = drawn(display, 60).splitlines()
    assert all(len(line) <= 60 for line in narrow)
    assert any("creating (1m15s)" in line for line in narrow)


def test_colors_are_used_when_wanted_and_never_otherwise() -> None:
    assert "\x1b[" in shown(EVENTS, color="always", interactive=False)
    assert "\x1b[" not in shown(EVENTS, color="never", interactive=False)
    assert "\x1b[" not in shown(EVENTS, environment={"NO_COLOR": "1"})


def test_json_is_one_event_a_line() -> None:
    stream = io.StringIO()
    display = JsonDisplay(stream)
    for event in EVENTS:
        display.event(event)
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == EVENTS
    assert shown(EVENTS, as_json=True).count("\n") == len(EVENTS)


def result(name: str) -> OperationResult:
    document = json.loads((TRACES / f"{name}.json").read_text())
    return OperationResult(
        0,
        document["changeSummary"],
        document["steps"],
        {},
        [],
        document["diagnostics"],
        document["config"],
        1.5,
    )


@pytest.mark.parametrize("name", ["preview-create", "preview-replace"])
def test_the_digest_has_the_shape_of_the_clis(name: str) -> None:
    recorded = json.loads((TRACES / f"{name}.json").read_text())
    assert preview_digest(result(name)) == {**recorded, "duration": 1_500_000_000}


def test_steps_are_shown_property_by_property() -> None:
    text = render_steps(result("preview-replace")).plain
    assert "+-toy:index:Thing: (replace)" in text
    assert "[id=things/c-c45921]" in text
    assert '  ~ size: "small" => "large"' in text
    created = render_steps(result("preview-create")).plain
    assert "    password: [secret]" in created
    assert "    label: [unknown]" in created


def test_times_and_types_are_short() -> None:
    assert [seconds(value) for value in (0, 0.04, 7.4, 125)] == ["0s", "0.04s", "7s", "2m05s"]
    assert short_type("gcp:storage/bucket:Bucket") == "gcp:storage:Bucket"
    assert short_type("pulumi:providers:gcp") == "pulumi:providers:gcp"


def step(op: str, old: dict[str, Any], new: dict[str, Any], **more: Any) -> dict[str, Any]:
    def state(inputs: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "t:m:T",
            "urn": URN,
            "id": "things/a",
            "parent": "",
            "inputs": inputs,
            "outputs": {},
        } | more

    diffs = sorted(key for key in {*old, *new} if old.get(key) != new.get(key) or key == "password")
    metadata = {"op": op, "urn": URN, "type": "t:m:T", "diffs": diffs, "logical": op != "refresh"}
    return metadata | {"old": state(old), "new": state(new)}


SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "[secret]"}
OLD = {
    "label": "one",
    "big": "x",
    "password": SECRET,
    "prompt": "first\nsecond\nthird",
    "list": [1, 2],
    "kept": 1,
}
NEW = {**OLD, "label": "two", "big": "y", "prompt": "first\nsecond!\nthird", "list": [1, 3]}


def test_changes_in_full_are_those_of_the_clis_diff() -> None:
    events = [{"resourcePreEvent": {"metadata": step("update", OLD, NEW, hideDiffs=["big"])}}]
    assert shown(events, in_full=True).splitlines()[1:16] == [
        "~ t:m:T: (update)",
        "    [id=things/a]",
        f"    [urn={URN}]",
        "  ~ big (hidden)",
        '  ~ label   : "one" => "two"',
        "  ~ list    : [",
        "        [0]: 1",
        "      ~ [1]: 2 => 3",
        "    ]",
        "  ~ password: [secret] => [secret]",
        "  ~ prompt  : ",
        "        first",
        "      - second",
        "      + second!",
        "        third",
    ]
    lines = shown(events).splitlines()
    assert lines[1] == " ~  t:m:T a updating (0s) [diff: ~label,list,password,prompt]"


def test_a_refresh_is_shown_when_it_is_known_what_was_found() -> None:
    begun = {"resourcePreEvent": {"metadata": step("refresh", OLD, OLD)}}
    found = {"resOutputsEvent": {"metadata": step("refresh", OLD, NEW) | {"op": "update"}}}
    for options in ({"in_full": True}, {}):
        text = shown([begun, found], Operation.REFRESH, preview_only=True, **options)
        assert text.count("update") == 1
        assert "label" in text


def test_drift_of_what_the_program_left_as_it_was_is_shown_by_property() -> None:
    """A provider keeps the program's inputs: what drifted is told by the outputs, as in the CLI."""
    begun = {"resourcePreEvent": {"metadata": step("refresh", OLD, OLD)}}
    metadata = step("refresh", OLD, OLD) | {"op": "update", "diffs": ["members"]}
    metadata["old"]["outputs"] = {"members": ["user:a", "user:b"], "role": "roles/viewer"}
    metadata["new"]["outputs"] = {"members": ["user:a"], "role": "roles/viewer"}
    found = {"resOutputsEvent": {"metadata": metadata}}
    text = shown([begun, found], Operation.REFRESH, preview_only=True, in_full=True)
    assert '      - [1]: "user:b"' in text.splitlines()
    assert "role" not in text


def test_an_asset_that_came_back_without_its_path_is_the_same_asset() -> None:
    """A provider is sent an asset's digest alone: an object that was overwritten is told by its outputs too."""
    asset = {"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17", "hash": "703f"}
    inputs = {"source": {**asset, "path": "train.jsonl"}}
    begun = {"resourcePreEvent": {"metadata": step("refresh", inputs, inputs)}}
    metadata = step("refresh", inputs, {"source": asset}) | {"op": "update", "diffs": ["detectMd5hash"]}
    metadata["old"]["outputs"] = {**inputs, "detectMd5hash": "a"}
    metadata["new"]["outputs"] = {"source": asset, "detectMd5hash": "b"}
    found = {"resOutputsEvent": {"metadata": metadata}}
    text = shown([begun, found], Operation.REFRESH, preview_only=True, in_full=True)
    assert '  ~ detectMd5hash: "a" => "b"' in text.splitlines()
    assert "asset(" not in text


def test_what_is_about_no_resource_is_about_the_stack() -> None:
    failed = {"diagnosticEvent": {"message": "update failed\n", "prefix": "error: ", "severity": "error"}}
    lines = shown([*EVENTS[:-2], failed]).splitlines()
    place = lines.index("  pulumi:pulumi:Stack (toyproj-dev):")
    assert "    error: update failed" in lines[place:]
