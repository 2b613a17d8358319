"""Vertex AI: metadata stores and the schemas registered in them (aiplatform.v1, v1beta1)."""

from __future__ import annotations

import re
import uuid
from typing import Any

import yaml

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import already_exists, invalid
from tunestack.emulator.services.metadata_store import SCHEMAS, STORES, check_id, create_store
from tunestack.emulator.services.vertex import (
    finished_operation,
    list_rows,
    listed,
    named_row,
    remove_tree,
    shown,
)

Json = dict[str, Any]

_STORES = "aiplatform.projects.locations.metadataStores"
_SCHEMAS = f"{_STORES}.metadataSchemas"


@implements(f"{_STORES}.create")
def create(call: Call) -> Json:
    identifier = check_id(call.query.get("metadataStoreId") or str(uuid.uuid4()), "metadata_store_id")
    name = f"{call.parent()}/{STORES}/{identifier}"
    row = create_store(call.state, name, call.body)
    return finished_operation(call, name, "CreateMetadataStore", row, "MetadataStore")


@implements(f"{_STORES}.get")
def get(call: Call) -> Json:
    return named_row(call)


@implements(f"{_STORES}.list")
def list_stores(call: Call) -> Json:
    return list_rows(call, STORES)


@implements(f"{_STORES}.delete")
def delete(call: Call) -> Json:
    """With all that lies in it."""
    name = named_row(call)["name"]
    remove_tree(call.state, name)
    call.state.edges.forget(name)
    return finished_operation(call, name, "DeleteMetadataStore", None)


@implements(f"{_SCHEMAS}.create")
def create_schema(call: Call) -> Json:
    """Its name is the ``title`` in its YAML."""
    state, store = call.state, named_row(call, "parent")["name"]
    identifier = check_id(call.query.get("metadataSchemaId") or str(uuid.uuid4()), "metadata_schema_id")
    title, version = _title(call.body["schema"]), call.body.get("schemaVersion", "")
    if version and not re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", version):
        raise invalid(f'schema_version "{version}" is not like 1.0.0.', [("schema_version", version)])
    for other in state.rows.list(SCHEMAS, store):
        if (other["_title"], other.get("schemaVersion", "")) == (title, version):
            raise already_exists(f"{store} has a schema {title} {version} already.")
    name = f"{store}/{SCHEMAS}/{identifier}"
    row = {**call.body, "name": name, "createTime": state.now(), "_title": title}
    return shown(state.rows.create(SCHEMAS, store, name, row))


@implements(f"{_SCHEMAS}.get")
def get_schema(call: Call) -> Json:
    return shown(named_row(call))


@implements(f"{_SCHEMAS}.list")
def list_schemas(call: Call) -> Json:
    """Those registered here; the texts of Google's own (``system.Model``, …) are not published."""
    store = named_row(call, "parent")["name"]
    return listed(call, [shown(row) for row in call.state.rows.list(SCHEMAS, store)], SCHEMAS)


def _title(text: str) -> str:
    try:
        schema = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise invalid(f"schema is not YAML: {error}", [("schema", "")]) from None
    title = schema.get("title") if isinstance(schema, dict) else None
    if not isinstance(title, str) or not title:
        raise invalid("schema has no title.", [("schema", "")])
    return title
