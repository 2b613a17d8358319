"""Pub/Sub: messages written to a BigQuery table or to files of a bucket, and acknowledged in the same transaction.

cloud.google.com/pubsub/docs/bigquery and …/cloudstorage. What does not fit its table goes to the dead letters where the
subscription has some, and comes again else.
"""

from __future__ import annotations

import base64
import uuid
from typing import Any

import orjson

from tunestack.emulator.bigquery.fields import Unfit, kind, row_in
from tunestack.emulator.bigquery.tables import by_arrival, columns, get_table, partition_of, table_name
from tunestack.emulator.services.pubsub_state import acknowledge, hand_out, message_numbers
from tunestack.emulator.services.pubsub_targets import BUCKET, TABLE, table_of
from tunestack.emulator.services.storage_objects import store
from tunestack.emulator.state import State

Json = dict[str, Any]

_AT_ONCE = 1000
_DATETIME = "YYYY-MM-DDThh_mm_ssZ"
# cloud.google.com/pubsub/docs/create-cloudstorage-subscription#file_names; the longest first.
_PARTS = (
    ("YYYY", "%Y"),
    ("MM", "%m"),
    ("DD", "%d"),
    ("hh", "%H"),
    ("mm", "%M"),
    ("ss", "%S"),
    ("Z", "+00_00"),
)


async def export_to_table(state: State, key: str) -> bool:
    """Write what is due into the table; whether there was anything."""
    with state.database.transaction():
        subscription = state.rows.find(key)
        if subscription is None or subscription.get("detached"):
            return False
        received = hand_out(state, subscription, _AT_ONCE)
    config = subscription[TABLE]
    reference = table_of(state, config["table"])
    if reference is None or not received:
        return False
    row = get_table(state, reference)
    rows, numbers = [], []
    for one in received:
        try:
            rows.append(_row(row["schema"]["fields"], config, subscription["name"], one["message"]))
        except Unfit:
            continue  # it comes again after its deadline, until it is a dead letter
        numbers += message_numbers(key, [one["ackId"]])
    if not rows:
        return True
    if by_arrival(row):
        rows = [{**one, "_PARTITIONTIME": partition_of(state, row)} for one in rows]
    with state.warehouse.reading():
        segment = await state.warehouse.write_rows(columns(row), rows)
        with state.database.transaction():
            if get_table(state, reference) == row:
                state.warehouse.append(table_name(reference), [segment])
                acknowledge(state, key, numbers)
    await state.warehouse.compact(table_name(reference), columns(row))
    return True


async def export_to_bucket(state: State, key: str) -> bool:
    """Write all that waits as one file of lines; whether there was anything."""
    with state.database.transaction():
        subscription = state.rows.find(key)
        if subscription is None or subscription.get("detached"):
            return False
        config = subscription[BUCKET]
        received = hand_out(state, subscription, int(config.get("maxMessages", 2**62)))
        if not received:
            return False
        content = b"".join(base64.b64decode(one["message"].get("data", "")) + b"\n" for one in received)
        form = config.get("filenameDatetimeFormat") or _DATETIME
        for part, sign in _PARTS:
            form = form.replace(part, sign)
        time = state.clock().strftime(form)
        name = f"{config.get('filenamePrefix', '')}{time}_{uuid.uuid4().hex[:6]}{config.get('filenameSuffix', '')}"
        kept = state.contents.put([content])
        store(state, config["bucket"], name, {"contentType": "text/plain"}, kept)
        acknowledge(state, key, [message_numbers(key, [one["ackId"]])[0] for one in received])
    return True


def _row(fields: list[Json], config: Json, subscription: str, message: Json) -> Json:
    """A message as a row. Raises `Unfit`."""
    data = base64.b64decode(message.get("data", ""))
    if config.get("useTableSchema"):
        try:
            row = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise Unfit("data", f"The message is not JSON: {error}") from None
    else:
        column = next(field for field in fields if field["name"].lower() == "data")
        row = {"data": message.get("data", "") if kind(column) == "BYTES" else _text(data)}
    if config.get("writeMetadata"):
        row |= {
            "subscription_name": subscription,
            "message_id": message["messageId"],
            "publish_time": message["publishTime"],
            "attributes": orjson.dumps(message.get("attributes", {})).decode(),
        }
    return row_in(fields, row, ignore_unknown=bool(config.get("dropUnknownFields")), json_as_text=True)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise Unfit("data", f"The message is no UTF-8 text: {error}") from None
