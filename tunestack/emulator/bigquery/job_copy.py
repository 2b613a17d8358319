"""Copy jobs: the copy lists the same files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tunestack.emulator.bigquery.engine import check_installed
from tunestack.emulator.bigquery.job_load import check as check
from tunestack.emulator.bigquery.tables import get_table, reference_of, table_name, write
from tunestack.emulator.errors import ApiError
from tunestack.emulator.state import State

Json = dict[str, Any]


async def run(state: State, row: Json, interrupts: list[Any]) -> Callable[[], Json]:
    """The answer puts the copy in place, inside the job's last transaction."""
    check_installed()
    configuration = row["configuration"]["copy"]
    project = row["jobReference"]["projectId"]
    operation = configuration.get("operationType", "COPY")
    if operation not in ("COPY", "OPERATION_TYPE_UNSPECIFIED"):
        raise ApiError("UNIMPLEMENTED", f"{operation} jobs are not implemented by the tunestack emulator")
    sources = configuration.get("sourceTables") or [configuration["sourceTable"]]

    def commit() -> Json:
        rows, size = 0, 0
        disposition = configuration.get("writeDisposition", "WRITE_EMPTY")
        for body in sources:
            source = get_table(state, reference_of(body, project))
            segments = state.warehouse.segments(table_name(reference_of(body, project)))
            target = {**configuration["destinationTable"]}
            target.setdefault("projectId", project)
            kept = ("timePartitioning", "rangePartitioning", "clustering", "description")
            write(
                state,
                {"tableReference": target, **{key: source[key] for key in kept if key in source}},
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
