"""BigQuery's types: schemas, what JSON they take, what they look like on the wire, and the engine's types for them.

cloud.google.com/bigquery/docs/reference/standard-sql/data-types, …/rest/v2/tables#TableFieldSchema,
…/docs/loading-data-cloud-storage-json#details_of_loading_json_data.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal, InvalidOperation
from typing import Any

import orjson

Json = dict[str, Any]

# The names that clients use for one type, legacy first; the API answers with the legacy name.
_LEGACY = {
    "INT64": "INTEGER",
    "INT": "INTEGER",
    "FLOAT64": "FLOAT",
    "BOOL": "BOOLEAN",
    "STRUCT": "RECORD",
    "DECIMAL": "NUMERIC",
    "BIGDECIMAL": "BIGNUMERIC",
}
_ENGINE = {
    "STRING": "VARCHAR",
    "BYTES": "BLOB",
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "NUMERIC": "DECIMAL(38,9)",
    # duckdb has 38 digits, BigQuery 76: larger numbers are refused, never rounded.
    "BIGNUMERIC": "DECIMAL(38,18)",
    "BOOLEAN": "BOOLEAN",
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
    "DATETIME": "TIMESTAMP",
    "DATE": "DATE",
    "TIME": "TIME",
    "JSON": "JSON",
}
# Logical bytes: cloud.google.com/bigquery/pricing#data (strings and bytes: 2 + length, JSON: its text).
_BYTES = {"NUMERIC": 16, "BIGNUMERIC": 32, "BOOLEAN": 1}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DIGITS = Context(prec=100)
_NAME = re.compile(r"[^\W\d]\w{0,299}")


class Unfit(ValueError):
    """A value or a schema that BigQuery refuses: ``field`` is its path."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def kind(field: Json) -> str:
    """The field's type by its legacy name."""
    name = str(field.get("type", "")).upper()
    return _LEGACY.get(name, name)


def repeated(field: Json) -> bool:
    return str(field.get("mode", "")).upper() == "REPEATED"


def checked_schema(fields: list[Json], path: str = "") -> list[Json]:
    """The fields with their types under the API's names. Raises `Unfit`."""
    seen: set[str] = set()
    result = []
    for field in fields:
        name = str(field.get("name", ""))
        where = f"{path}.{name}".lstrip(".")
        if not _NAME.fullmatch(name):
            raise Unfit(
                where,
                f'Invalid field name "{name}". Fields must contain the allowed characters, and be at most 300 '
                "characters long. For allowed characters, please refer to https://cloud.google.com/bigquery/docs/"
                "schemas#column_names",
            )
        if name.lower() in seen:
            raise Unfit(where, f"Field {where} already exists in schema")
        seen.add(name.lower())
        checked = {**field, "type": kind(field), "mode": str(field.get("mode", "NULLABLE")).upper()}
        if checked["mode"] not in ("NULLABLE", "REQUIRED", "REPEATED"):
            raise Unfit(where, f"Invalid mode for field {where}: {field.get('mode')}")
        if kind(field) == "RECORD":
            if not field.get("fields"):
                raise Unfit(where, f"Field {where} is type RECORD but has no schema")
            checked["fields"] = checked_schema(field["fields"], where)
        elif kind(field) not in _ENGINE:
            raise Unfit(where, f"Invalid value for type: {field.get('type')} is not a valid value")
        result.append(checked)
    return result


def engine_type(field: Json, *, text_bytes: bool = False) -> str:
    """The type in duckdb. ``text_bytes``: BYTES as base64 text, the only way that JSON carries them."""
    if kind(field) == "RECORD":
        inner = ", ".join(
            f"{quoted(child['name'])} {engine_type(child, text_bytes=text_bytes)}"
            for child in field["fields"]
        )
        name = f"STRUCT({inner})"
    elif kind(field) == "BYTES" and text_bytes:
        name = "VARCHAR"
    else:
        name = _ENGINE[kind(field)]
    return f"{name}[]" if repeated(field) else name


def sql_type(field: Json) -> str:
    """The type as GoogleSQL writes it (for the translator's schema)."""
    if kind(field) == "RECORD":
        inner = ", ".join(f"`{child['name']}` {sql_type(child)}" for child in field["fields"])
        name = f"STRUCT<{inner}>"
    else:
        name = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}.get(kind(field), kind(field))
    return f"ARRAY<{name}>" if repeated(field) else name


def quoted(name: str) -> str:
    """An identifier of duckdb's."""
    return '"' + name.replace('"', '""') + '"'


# --- in: JSON that a client sends becomes the JSON that is kept until the engine reads it ---


def row_in(
    fields: list[Json], row: Any, *, ignore_unknown: bool = False, json_as_text: bool = False, path: str = ""
) -> Json:
    """A row by its schema, every value in one canonical form. Raises `Unfit` naming the field.

    ``json_as_text``: JSON columns are sent as text, as ``insertAll`` has it.
    """
    if not isinstance(row, dict):
        raise Unfit(path, "This field is a record." if path else "The row is not a JSON object.")
    by_name = {field["name"].lower(): field for field in fields}
    result: Json = {}
    for key, value in row.items():
        field = by_name.get(key.lower())
        where = f"{path}.{key}".lstrip(".")
        if field is None:
            if not ignore_unknown:
                raise Unfit(where, f"no such field: {where}.")
            continue
        result[field["name"]] = _value_in(field, value, where, ignore_unknown, json_as_text)
    for field in fields:
        where = f"{path}.{field['name']}".lstrip(".")
        if result.get(field["name"]) is None:
            if field.get("mode") == "REQUIRED":
                raise Unfit(where, f"Missing required field: {where}.")
            if repeated(field):
                result[field["name"]] = []
    return result


def _value_in(field: Json, value: Any, path: str, ignore_unknown: bool, json_as_text: bool) -> Any:
    def one(item: Any) -> Any:
        if kind(field) == "RECORD":
            return row_in(
                field["fields"], item, ignore_unknown=ignore_unknown, json_as_text=json_as_text, path=path
            )
        if kind(field) == "JSON":
            return _json_in(item, path, json_as_text)
        if isinstance(item, list | dict):
            raise Unfit(path, f"Array specified for non-repeated field: {path}.")
        return _READERS[kind(field)](item, path)

    if value is None:
        return None
    if not repeated(field):
        return one(value)
    if not isinstance(value, list):
        raise Unfit(path, f"Repeated field must be imported as a JSON array. Field: {path}.")
    if any(item is None for item in value):
        raise Unfit(path, f"Only optional fields can be set to NULL. Field: {path}; Value: NULL")
    return [one(item) for item in value]


def _cannot(path: str, value: Any, to: str) -> Unfit:
    return Unfit(path, f"Cannot convert value to {to} (bad value): {value} Field: {path}")


def _text_in(value: Any, path: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def _integer_in(value: Any, path: str) -> int:
    try:
        number = int(value) if not isinstance(value, float) or value.is_integer() else None
    except (TypeError, ValueError):
        number = None
    if number is None or isinstance(value, bool) or not -(2**63) <= number < 2**63:
        raise _cannot(path, value, "integer")
    return number


def _float_in(value: Any, path: str) -> float | str:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise _cannot(path, value, "double") from None
    if isinstance(value, bool):
        raise _cannot(path, value, "double")
    # JSON has no such numbers; the engine reads them from text.
    return number if math.isfinite(number) else str(number)


def _decimal_in(name: str, digits: int, scale: int) -> Callable[[Any, str], str]:
    def read(value: Any, path: str) -> str:
        try:
            number = Decimal(str(value))
            exact = (
                number.quantize(Decimal(1).scaleb(-scale), context=_DIGITS) if number.is_finite() else None
            )
        except InvalidOperation:
            exact = None
        if exact is None or exact != number or abs(number) >= Decimal(10) ** digits:
            raise Unfit(path, f"Invalid {name} value: {value} Field: {path}")
        return format(exact, "f")

    return read


def _boolean_in(value: Any, path: str) -> bool:
    known = {"true": True, "t": True, "yes": True, "y": True, "1": True}
    known |= {"false": False, "f": False, "no": False, "n": False, "0": False}
    found = known.get(str(value).lower())
    if found is None:
        raise _cannot(path, value, "boolean")
    return found


def _instant_in(value: Any, path: str) -> str:
    text = str(value).strip()
    try:
        if re.fullmatch(r"-?\d+(\.\d+)?([eE]\+?\d+)?", text):
            moment = _EPOCH + timedelta(microseconds=int(_DIGITS.multiply(Decimal(text), Decimal(1_000_000))))
        else:
            moment = datetime.fromisoformat(re.sub(r"\s*(UTC|Z|z)$", "+00:00", text))
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError, InvalidOperation):
        raise Unfit(path, f"Invalid timestamp value: {value} Field: {path}") from None
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ").zfill(27)


def _moment_in(name: str, parse: Callable[[str], Any]) -> Callable[[Any, str], str]:
    def read(value: Any, path: str) -> str:
        try:
            return str(parse(str(value).strip()).isoformat())
        except ValueError:
            raise Unfit(path, f"Invalid {name} value: {value} Field: {path}") from None

    return read


def _datetime_of(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        raise ValueError(text)
    return moment


def _bytes_in(value: Any, path: str) -> str:
    try:
        data = base64.b64decode(str(value).replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        raise Unfit(path, f"Could not decode base64 string to bytes. Field: {path}; Value: {value}") from None
    return base64.b64encode(data).decode()


def _json_in(value: Any, path: str, as_text: bool) -> Any:
    if not as_text or not isinstance(value, str):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise Unfit(path, f"Invalid JSON value: {error} Field: {path}") from None


_READERS: dict[str, Callable[[Any, str], Any]] = {
    "STRING": _text_in,
    "BYTES": _bytes_in,
    "INTEGER": _integer_in,
    "FLOAT": _float_in,
    "NUMERIC": _decimal_in("NUMERIC", 29, 9),
    "BIGNUMERIC": _decimal_in("BIGNUMERIC", 20, 18),
    "BOOLEAN": _boolean_in,
    "TIMESTAMP": _instant_in,
    "DATETIME": _moment_in("datetime", _datetime_of),
    "DATE": _moment_in("date", date.fromisoformat),
    "TIME": _moment_in("time", time.fromisoformat),
}


# --- out: values of the engine's become cells ---


def row_out(fields: list[Json], row: tuple[Any, ...], *, integer_timestamps: bool) -> Json:
    """``{"f": [{"v": …}, …]}``."""
    return {
        "f": [
            {"v": _value_out(field, value, integer_timestamps)}
            for field, value in zip(fields, row, strict=True)
        ]
    }


def _value_out(field: Json, value: Any, integer_timestamps: bool) -> Any:
    if repeated(field):
        single = {**field, "mode": "NULLABLE"}
        return [{"v": _value_out(single, item, integer_timestamps)} for item in value or []]
    if value is None:
        return None
    name = kind(field)
    if name == "RECORD":
        return row_out(field["fields"], tuple(value.values()), integer_timestamps=integer_timestamps)
    if name == "TIMESTAMP":
        return timestamp_out(value, integer_timestamps)
    return text_out(name, value)


def timestamp_out(value: datetime, integer: bool) -> str:
    """Microseconds since 1970 as text, or seconds as BigQuery writes them without ``useInt64Timestamp``."""
    microseconds = (value - _EPOCH) // timedelta(microseconds=1)
    if integer:
        return str(microseconds)
    mantissa, exponent = f"{Decimal(microseconds) / 1_000_000:.15E}".split("E")
    return f"{mantissa.rstrip('0').rstrip('.') if '.' in mantissa else mantissa}E{int(exponent)}"


def text_out(name: str, value: Any) -> str:
    """A scalar as BigQuery writes it in a cell."""
    if name == "BOOLEAN":
        return "true" if value else "false"
    if name == "BYTES":
        return base64.b64encode(value).decode()
    if name in ("NUMERIC", "BIGNUMERIC"):
        text = format(value, "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if name == "FLOAT":
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        return repr(float(value))
    if name in ("DATE", "DATETIME", "TIME"):
        return str(value.isoformat())
    return str(value)


def logical_bytes(field: Json, column: str) -> str:
    """An SQL expression: the bytes that a value of this field counts for."""
    if repeated(field):
        inner = logical_bytes({**field, "mode": "NULLABLE"}, "x")
        return f"coalesce(list_sum(list_transform({column}, lambda x: {inner})), 0)"
    name = kind(field)
    if name == "RECORD":
        parts = [logical_bytes(child, f"{column}.{quoted(child['name'])}") for child in field["fields"]]
        return f"({' + '.join(parts)})"
    if name in ("STRING", "JSON"):
        return f"coalesce(2 + strlen({column}::VARCHAR), 0)"
    if name == "BYTES":
        return f"coalesce(2 + octet_length({column}), 0)"
    return f"CASE WHEN {column} IS NULL THEN 0 ELSE {_BYTES.get(name, 8)} END"


def columns_of(fields: list[Json], path: str = "") -> Iterator[tuple[str, Json]]:
    """Every field with its dotted path, depth first."""
    for field in fields:
        where = f"{path}.{field['name']}".lstrip(".")
        yield where, field
        if kind(field) == "RECORD":
            yield from columns_of(field["fields"], where)
