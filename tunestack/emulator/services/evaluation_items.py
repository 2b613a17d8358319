"""The rows of evaluation items and sets, for the services and for the runs that leave results in them."""

from __future__ import annotations

from typing import Any

from tunestack.emulator.errors import invalid
from tunestack.emulator.state import State

Json = dict[str, Any]

ITEMS = "evaluationItems"
SETS = "evaluationSets"


def keep_item(state: State, name: str, body: Json) -> Json:
    """Done twice it changes nothing: an item's content never changes."""
    row = state.rows.find(name)
    if row is not None:
        return row
    row = {**body, "name": name, "createTime": state.now()}
    return state.rows.create(ITEMS, name.rpartition(f"/{ITEMS}/")[0], name, row)


def keep_set(state: State, name: str, body: Json) -> Json:
    row = state.rows.find(name)
    if row is not None:
        return row
    now = state.now()
    row = {**body, "name": name, "createTime": now, "updateTime": now}
    return state.rows.create(SETS, name.rpartition(f"/{SETS}/")[0], name, row)


def check_request(request: Json) -> None:
    """Either a prompt or a trace of an agent (EvaluationRequest, "Validation Rule"); candidates have names."""
    responses = request.get("candidateResponses", [])
    if "prompt" not in request and not any("agentData" in response for response in responses):
        raise invalid(
            "Either prompt must be set, or at least one of candidate_responses must contain agent_data.",
            [("evaluation_request.prompt", "required")],
        )
    for index, response in enumerate(responses):
        if not response.get("candidate"):
            raise invalid(f"Required field is not set: candidate_responses[{index}].candidate")
