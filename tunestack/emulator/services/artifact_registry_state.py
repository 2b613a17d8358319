"""What the Artifact Registry files share: names, operations, and files' contents.

Ids may hold slashes, which names show escaped (``%2F``); rows are kept under the name that has them plain. A
content lies with Cloud Storage's, as the object of a bucket whose name no bucket can have.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from tunestack.emulator.call import Call
from tunestack.emulator.contents import Content
from tunestack.emulator.errors import not_found
from tunestack.emulator.services.resources import done_operation
from tunestack.emulator.services.storage_objects import forget_unused
from tunestack.emulator.state import State

Json = dict[str, Any]

REPOSITORIES = "repositories"
PACKAGES = "packages"
VERSIONS = "versions"
TAGS = "tags"
FILES = "files"

_TYPES = "type.googleapis.com/google.devtools.artifactregistry.v1"
_BUCKET = "artifactregistry:"


def operation(call: Call, parent: str, response: Json | None, message: str = "") -> Json:
    """A finished operation of a location (``projects/1/locations/l``)."""
    state = call.state
    name = f"{state.projects.by_id(parent)}/operations/{state.new_id()}"
    answer = {"@type": f"{_TYPES}.{message}", **response} if response is not None else None
    return done_operation(state, name, {"@type": f"{_TYPES}.OperationMetadata"}, answer)


def location_of(name: str) -> str:
    """``projects/1/locations/l`` of any name in it."""
    return "/".join(name.split("/")[:4])


def shown_name(parent: str, collection: str, identifier: str) -> str:
    """The name below a shown one, with its id escaped."""
    return f"{parent}/{collection}/{quote(identifier, safe=':@~')}"


def keep_content(state: State, key: str, content: Content) -> None:
    state.database.execute(
        "INSERT INTO object (bucket, name, generation, live, digest, body) VALUES (?, ?, 1, 1, ?, ?)",
        *(_BUCKET, key, content.digest, b"{}"),
    )


def content_of(state: State, key: str) -> Path:
    """Where the content of a file lies that is there."""
    return state.contents.path(_digest_of(state, key))


def remove_below(state: State, key: str) -> None:
    """Remove all that a repository, package or version has, and the contents of its files."""
    for name in state.rows.below(key):
        remove_file(state, name)


def remove_file(state: State, key: str) -> None:
    """Remove a row and, where it is a file, its content."""
    state.rows.delete(key)
    if f"/{FILES}/" in key:
        digest = _digest_of(state, key)
        state.database.execute("DELETE FROM object WHERE bucket = ? AND name = ?", _BUCKET, key)
        state.database.after_commit(lambda: forget_unused(state, digest))


def _digest_of(state: State, key: str) -> str:
    found = state.database.one("SELECT digest FROM object WHERE bucket = ? AND name = ?", _BUCKET, key)
    if found is None:
        raise not_found(f"File {state.projects.by_id(key)} not found.")
    return str(found[0])
