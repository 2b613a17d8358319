"""Pub/Sub: snapshots of subscriptions (pubsub.v1). Seeking to one is the subscriptions'."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import already_exists, failed_precondition
from tunestack.emulator.services import pubsub_state
from tunestack.emulator.services.pubsub_state import DELETED_TOPIC, SNAPSHOTS, check_name, unacknowledged
from tunestack.emulator.services.resources import listed, patched_row
from tunestack.emulator.services.times import written

Json = dict[str, Any]

_SNAPSHOTS = "pubsub.projects.snapshots"


@implements(f"{_SNAPSHOTS}.create")
def create_snapshot(call: Call) -> Json:
    state, key = call.state, call.parent("name")
    check_name(call.path["name"])
    if state.rows.find(key):
        raise already_exists(f"Resource already exists in the project (resource={key.rpartition('/')[2]}).")
    subscription = pubsub_state.find(state, call.body["subscription"])
    if subscription["topic"] == DELETED_TOPIC:
        raise failed_precondition(f"The topic of {subscription['name']} was deleted.")
    row = {
        "name": state.projects.by_id(key),
        "topic": subscription["topic"],
        "expireTime": written(state.clock() + timedelta(days=7)),
        **({"labels": call.body["labels"]} if call.body.get("labels") else {}),
        "_time": state.now(),
        "_unacknowledged": unacknowledged(state, state.projects.canonical(subscription["name"])),
    }
    state.rows.create(SNAPSHOTS, key.rsplit("/", 2)[0], key, row)
    return _shown(row)


@implements(f"{_SNAPSHOTS}.get")
def get_snapshot(call: Call) -> Json:
    return _shown(pubsub_state.find(call.state, call.path["snapshot"]))


@implements(f"{_SNAPSHOTS}.list")
def list_snapshots(call: Call) -> Json:
    rows = call.state.rows.list(SNAPSHOTS, call.parent("project"))
    return listed(call, [_shown(row) for row in rows], SNAPSHOTS)


@implements(f"{_SNAPSHOTS}.patch")
def patch_snapshot(call: Call) -> Json:
    pubsub_state.find(call.state, call.path["name"])
    row = patched_row(call, body=call.body["snapshot"], mask=call.body["updateMask"], immutable=("topic",))
    return _shown(call.state.rows.put(call.parent("name"), row))


@implements(f"{_SNAPSHOTS}.delete")
def delete_snapshot(call: Call) -> Json:
    pubsub_state.find(call.state, call.path["snapshot"])
    call.state.rows.delete(call.parent("snapshot"))
    call.state.policies.delete(call.parent("snapshot"))
    return {}


def _shown(row: Json) -> Json:
    return {key: value for key, value in row.items() if not key.startswith("_")}
