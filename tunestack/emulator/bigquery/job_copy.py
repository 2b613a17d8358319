"""Copy jobs, and snapshots and clones of tables: the copy lists the same files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tunestack.emulator.bigquery.engine import check_installed
from tunestack.emulator.bigquery.job_load import check as check
from tunestack.emulator.bigquery.refusal import refused
from tunestack.emulator.bigquery.rights import require_reading, require_writing
from tunestack.emulator.bigquery.tables import get_table, reference_of, shown, table_name, write
from tunestack.emulator.services.times import moment
from tunestack.emulator.state import State

Json = dict[str, Any]

# How a source must be for an operation (JobConfigurationTableCopy.operationType), and what the copy is then.
_SOURCES = {"COPY": "TABLE", "SNAPSHOT": "TABLE", "CLONE": "TABLE", "RESTORE": "SNAPSHOT"}


async def run(state: State, row: Json, interrupts: list[Any]) -> Callable[[], Json]:
    """The answer puts the copy in place, inside the job's last transaction."""
    check_installed()
    configuration = row["configuration"]["copy"]
    project = row["jobReference"]["projectId"]
    operation = str(configuration.get("operationType", "COPY")).replace("OPERATION_TYPE_UNSPECIFIED", "COPY")
    sources = configuration.get("sourceTables") or [configuration["sourceTable"]]
    for body in sources:
        require_reading(state, row, reference_of(body, project))
    require_writing(state, row, reference_of(configuration["destinationTable"], project))

    def commit() -> Json:
        rows, size = 0, 0
        ends = configuration.get("destinationExpirationTime")
        expiry = str(int(moment(ends).timestamp() * 1000)) if ends else ""
        disposition = configuration.get("writeDisposition", "WRITE_EMPTY")
        for body in sources:
            source = get_table(state, reference_of(body, project))
            if source["type"] != _SOURCES[operation]:
                name = shown(reference_of(body, project))
                raise refused(
                    f"{name} is a {source['type']}: {operation} needs a {_SOURCES[operation]}.", "invalid"
                )
            segments = state.warehouse.segments(table_name(reference_of(body, project)))
            target = {**configuration["destinationTable"]}
            target.setdefault("projectId", project)
            kept = ("timePartitioning", "rangePartitioning", "clustering", "description")
            write(
                state,
                {
                    "tableReference": target,
                    **{key: source[key] for key in kept if key in source},
                    **_definition(state, operation, source),
                    **({"expirationTime": expiry} if expiry else {}),
                },
                source.get("schema", {}).get("fields", []),
                segments,
                disposition,
                create=configuration.get("createDisposition", "CREATE_IF_NEEDED"),
            )
            disposition = "WRITE_APPEND"
            rows += sum(segment.rows for segment in segments)
            size += sum(sum(segment.sizes.values()) for segment in segments)
        return {"copy": {"copiedRows": str(rows), "copiedLogicalBytes": str(size)}}

    return commit


def _definition(state: State, operation: str, source: Json) -> Json:
    """What a snapshot or a clone says of the table that it is of."""
    base = {"baseTableReference": source["tableReference"]}
    if operation == "SNAPSHOT":
        return {"type": "SNAPSHOT", "snapshotDefinition": {**base, "snapshotTime": state.now()}}
    return {"cloneDefinition": {**base, "cloneTime": state.now()}} if operation == "CLONE" else {}
