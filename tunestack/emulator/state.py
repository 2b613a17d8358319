"""What all services share: the database, contents, projects, rows, clock; and the two that run processes."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from tunestack.emulator.access.enforcement import Access
from tunestack.emulator.background import Background
from tunestack.emulator.clock import Clock
from tunestack.emulator.contents import Contents
from tunestack.emulator.database import Database
from tunestack.emulator.documents import Documents, load
from tunestack.emulator.edges import Edges
from tunestack.emulator.errors import already_exists, not_found
from tunestack.emulator.faults import Faults
from tunestack.emulator.options import EmulatorOptions

Json = dict[str, Any]


class Projects:
    """Project ids and numbers. Any id is a project here; its number follows from the id.

    Vertex names carry the number, whichever the caller used (seen in real answers:
    ``projects/113512199474/locations/…``).
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids: dict[str, str] = {}
        for number, project in database.execute(
            "SELECT substr(key, 9), value FROM meta WHERE key LIKE 'project/%'"
        ):
            self._ids[number] = project

    def number(self, project: str) -> str:
        """The number of a project given by id or number."""
        if project.isdigit():
            return project
        number = str(
            10**11 + int.from_bytes(hashlib.sha256(project.encode()).digest()[:8], "big") % (9 * 10**11)
        )
        if number not in self._ids:
            self._database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", f"project/{number}", project)
            self._ids[number] = project
        return number

    def id(self, project: str) -> str:
        """The id of a project given by id or number; a number never seen stands for itself."""
        return self._ids.get(project, project)

    def canonical(self, name: str) -> str:
        """A resource name with the project's number."""
        parts = name.split("/")
        if parts[0] == "projects" and len(parts) > 1:
            parts[1] = self.number(parts[1])
        return "/".join(parts)

    def by_id(self, name: str) -> str:
        """A resource name with the project's id, as most services show theirs."""
        parts = name.split("/")
        if parts[0] == "projects" and len(parts) > 1:
            parts[1] = self.id(parts[1])
        return "/".join(parts)


class Rows:
    """Resources of Google's, kept whole: what was sent, plus what the server sets."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, name: str) -> Json | None:
        row = self._database.one("SELECT body FROM resource WHERE name = ?", name)
        return orjson.loads(row[0]) if row else None

    def get(self, name: str, message: str | None = None) -> Json:
        row = self.find(name)
        if row is None:
            raise not_found(message or f"{name} is not found.")
        return row

    def create(self, collection: str, parent: str, name: str, body: Json) -> Json:
        if self.find(name) is not None:
            raise already_exists(f"{name} already exists.")
        with self._database.transaction():
            self._database.execute(
                "INSERT INTO resource VALUES (?, ?, ?, ?, ?)",
                name,
                collection,
                parent,
                self._database.next_number("sequence"),
                orjson.dumps(body),
            )
        return body

    def put(self, name: str, body: Json) -> Json:
        self._database.execute("UPDATE resource SET body = ? WHERE name = ?", orjson.dumps(body), name)
        return body

    def delete(self, name: str) -> None:
        self._database.execute("DELETE FROM resource WHERE name = ?", name)

    def delete_below(self, name: str, besides: str) -> None:
        """Remove what lies under ``name``, but the rows of the collection ``besides``."""
        # "0" is the character after "/".
        self._database.execute(
            "DELETE FROM resource WHERE name > ? AND name < ? AND collection != ?",
            f"{name}/",
            f"{name}0",
            besides,
        )

    def below(self, name: str) -> tuple[str, ...]:
        """The names of all rows below one, at any depth."""
        rows = self._database.execute(
            "SELECT name FROM resource WHERE name > ? AND name < ?", f"{name}/", f"{name}0"
        )
        return tuple(row[0] for row in rows)

    def list(self, collection: str, parent: str | None = None, *, newest_first: bool = False) -> list[Json]:
        order = "DESC" if newest_first else "ASC"
        if parent is None:
            rows = self._database.execute(
                f"SELECT body FROM resource WHERE collection = ? ORDER BY sequence {order}",  # noqa: S608
                collection,
            )
        else:
            rows = self._database.execute(
                f"SELECT body FROM resource WHERE collection = ? AND parent = ? ORDER BY sequence {order}",  # noqa: S608
                collection,
                parent,
            )
        return [orjson.loads(body) for (body,) in rows]


class Policies:
    """IAM policies by resource, with etags. ``owner`` is the first owner of every project."""

    def __init__(self, database: Database, owner: str) -> None:
        self._database = database
        self._owner = {"role": "roles/owner", "members": [f"serviceAccount:{owner}"]}

    def get(self, resource: str, default: Json | None = None) -> Json:
        row = self._database.one("SELECT body FROM policy WHERE resource = ?", resource)
        if row is None and default is None and resource.startswith("projects/") and resource.count("/") == 1:
            default = {"bindings": [self._owner]}
        policy: Json = orjson.loads(row[0]) if row else {"version": 1, "bindings": [], **(default or {})}
        return {**policy, "etag": etag(policy)}

    def put(self, resource: str, policy: Json) -> Json:
        policy = {key: value for key, value in policy.items() if key != "etag"}
        # A counter, so that writing the same bindings again changes the etag, as Google's does.
        policy["revision"] = self._database.next_number("policy")
        self._database.execute("INSERT OR REPLACE INTO policy VALUES (?, ?)", resource, orjson.dumps(policy))
        return self.get(resource)

    def delete(self, resource: str) -> None:
        self._database.execute("DELETE FROM policy WHERE resource = ?", resource)


class State:
    """All there is, for handlers. ``clock`` and ``new_id`` are given, so that tests decide them."""

    def __init__(
        self,
        options: EmulatorOptions,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_id: Callable[[], int] = lambda: 10**18 + secrets.randbelow(8 * 10**18),
    ) -> None:
        # Here, not above: the runner's tasks use the services, and those use this module.
        from tunestack.emulator.bigquery.jobs import BigQueryJobs
        from tunestack.emulator.bigquery.warehouse import Warehouse
        from tunestack.emulator.jobs.runner import Runner
        from tunestack.emulator.serving import PredictWorker

        self.options = options
        self.new_id = new_id
        self.documents: Documents = load()
        self.database = Database(options.data / "state.db")
        self.clock = Clock(self.database, clock)
        self.contents = Contents(options.data / "objects")
        self.contents.sweep(
            {
                digest
                for (digest,) in self.database.execute(
                    "SELECT digest FROM object UNION SELECT digest FROM soft_deleted_object"
                )
            }
        )
        self.projects = Projects(self.database)
        self.rows = Rows(self.database)
        self.edges = Edges(self.database)
        self.policies = Policies(self.database, options.account)
        self.access = Access(self, enforced=options.enforce_iam, local=options.account)
        self.faults = Faults()
        self.default_quotas = False  # whether Google's defaults hold where nobody has set a quota
        self.operation_polls = 0  # how often an operation is seen unfinished before it is done
        self.rpc_port: int | None = None  # where gRPC is served, if it is
        self.published = asyncio.Event()  # a message came in; who waits for one clears it
        self.answered: Counter[str] = Counter()  # predictions by endpoint, which its traffic split goes by
        self.started_at = self.now()
        self.runner = Runner(self)
        self.worker = PredictWorker(options)
        self.warehouse = Warehouse(options.data / "bigquery", self.database)
        self.bigquery_jobs = BigQueryJobs(self)
        self.background = Background(self)

    def now(self) -> str:
        """The time as Google writes it: RFC 3339, UTC, microseconds."""
        return self.clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def close(self) -> None:
        self.database.close()


def etag(body: Json) -> str:
    """A short tag that changes when the body does."""
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
