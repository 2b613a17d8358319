"""State: its form, its order, and how it is written."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunestack.engine.errors import EngineRefused, StateError
from tunestack.engine.goals import Alias, Aliases, Goal
from tunestack.engine.journal import Journal
from tunestack.engine.secrets import PassphraseSecrets
from tunestack.engine.state import DependencyGraph, PendingOperation, Resource, Snapshot, verify
from tunestack.engine.store import Store, read_document, snapshot_from, stack_file, stack_lock
from tunestack.engine.urns import ProviderReference, make_urn, name_of, package_of, type_of
from tunestack.engine.values import SECRET_SIGNATURE, SIGNATURE, Secret

TRACES = Path(__file__).parents[2] / "contract" / "engine" / "traces"
SECRETS = PassphraseSecrets("words")


def thing(name: str, *needs: str, **fields: Any) -> Resource:
    urns = [f"urn:pulumi:s::p::t:m:T::{other}" for other in needs]
    return Resource(
        f"urn:pulumi:s::p::t:m:T::{name}", "t:m:T", True, f"id-{name}", dependencies=urns, **fields
    )


def test_resources_of_the_cli_are_written_as_they_were_read() -> None:
    for document in json.loads((TRACES / "stack-export.json").read_text())["deployment"]["resources"]:
        document["sourcePosition"] = "project:///infra/__main__.py#1,1"  # means nothing to this engine: kept
        resource = Resource.from_json(document, lambda ciphertext: f"what {ciphertext} says")
        assert resource.to_json(written) == document


def written(secret: Secret) -> dict[str, str | None]:
    return {SIGNATURE: SECRET_SIGNATURE, "ciphertext": secret.ciphertext}


def test_state_that_needs_more_than_this_engine_has_is_refused() -> None:
    with pytest.raises(EngineRefused, match="views"):
        Resource.from_json({"urn": "u", "type": "t", "viewOf": "urn:x"}, str)


def test_order_is_checked() -> None:
    verify([thing("a"), thing("b", "a")])
    with pytest.raises(StateError, match=r"dependency .* comes after it"):
        verify([thing("b", "a"), thing("a")])
    with pytest.raises(StateError, match="duplicate resource"):
        verify([thing("a"), thing("a")])
    verify([thing("a"), thing("a", delete=True)])


def test_dependents_are_found_however_far_away() -> None:
    resources = [thing("a"), thing("b", "a"), thing("c"), thing("d", "b"), thing("e", "c")]
    found = DependencyGraph(resources).dependents(resources[0], lambda urn: False)
    assert [name_of(resource.urn) for resource in found] == ["b", "d"]


@given(st.data())
def test_whatever_completes_when_the_state_stays_in_order(data: st.DataObject) -> None:
    """Registrations complete in any order that the dependencies allow; at every moment the state is in order."""

    async def play() -> None:
        count = data.draw(st.integers(1, 7))
        old_needs = [
            data.draw(st.sets(st.integers(0, max(i - 1, 0)), max_size=2)) if i else set()
            for i in range(count)
        ]
        base = [thing(str(i), *map(str, sorted(needs))) for i, needs in enumerate(old_needs)]
        journal = Journal(Snapshot(base), None, {})
        registered: list[int] = []
        for index in data.draw(st.permutations(range(count))):
            action = data.draw(st.sampled_from(["same", "replace", "fail", "absent"]))
            if action == "absent" or not old_needs[index] <= set(registered):
                continue
            pending = await journal.begin(base[index], "creating")
            if action == "fail":
                await journal.end(pending)
            else:
                new = thing(str(index), *map(str, sorted(old_needs[index])))
                base[index].delete = action == "replace"
                await journal.end(pending, add=new, remove=base[index] if action == "same" else None)
                registered.append(index)
            verify(journal.snapshot().resources)
        assert journal.pending == []

    asyncio.run(play())


def test_pending_operations_are_settled_by_identity() -> None:
    async def play() -> None:
        journal = Journal(Snapshot([thing("a")], [PendingOperation(thing("a"), "creating")]), None, {})
        first = await journal.begin(thing("a"), "creating")
        assert len(journal.pending) == 2
        await journal.end(first, add=thing("b"))
        assert [item.type for item in journal.pending] == ["creating"]
        assert journal.pending[0] is not first

    asyncio.run(play())


def test_the_state_file_is_replaced_whole_and_shared_writes_are_one(tmp_path: Path) -> None:
    path = stack_file(tmp_path, "p", "s")
    assert path == tmp_path / ".pulumi/stacks/p/s.json"
    snapshot = Snapshot([thing("a")])
    renders = []

    async def play() -> None:
        store = Store(path, "s", "p", SECRETS, lambda: "2026-01-01T00:00:00Z")
        render = store.render
        store.render = lambda given: renders.append(1) or render(given)  # type: ignore[method-assign,func-returns-value]
        await asyncio.gather(*(store.commit(lambda: snapshot) for _ in range(50)))
        store.close()
        snapshot.resources.clear()
        await store.commit(lambda: snapshot)

    asyncio.run(play())
    assert len(renders) <= 2
    document = read_document(path)
    assert [resource.id for resource in snapshot_from(document, SECRETS).resources] == ["id-a"]
    assert sorted(item.name for item in path.parent.iterdir()) == ["s.json"]
    path.write_text("{half")
    with pytest.raises(StateError, match="not a Pulumi checkpoint"):
        read_document(path)


def test_the_lock_of_a_running_cli_is_respected(tmp_path: Path) -> None:
    path = stack_file(tmp_path, "p", "s")
    lock = tmp_path / ".pulumi/locks/organization/p/s/x.json"
    lock.parent.mkdir(parents=True)
    with stack_lock(path):
        pass
    lock.write_text("{}")
    with pytest.raises(StateError.__mro__[1], match="pulumi cancel"), stack_lock(path):
        pass


def test_names() -> None:
    stack = make_urn("s", "p", "", "pulumi:pulumi:Stack", "p-s")
    group = make_urn("s", "p", stack, "a:b:Group", "g")
    inner = make_urn("s", "p", group, "a:b:Thing", "x::y")
    assert inner == "urn:pulumi:s::p::a:b:Group$a:b:Thing::x::y"
    assert (type_of(inner), name_of(inner), package_of("pulumi:providers:gcp")) == (
        "a:b:Thing",
        "x::y",
        "gcp",
    )
    assert ProviderReference.parse(f"{stack}::some-id").id == "some-id"


def test_children_are_found_under_the_old_names_of_their_parents() -> None:
    aliases = Aliases("s", "p")
    parent = make_urn("s", "p", "", "a:b:Group", "new")
    old_parent = make_urn("s", "p", "", "a:b:Group", "old")
    aliases.record(parent, old_parent)
    goal = Goal("a:b:T", "new-inner", True, parent=parent, aliases=[Alias(type="a:b:Former")])
    assert aliases.candidates(goal) == [
        "urn:pulumi:s::p::a:b:Group$a:b:Former::new-inner",
        "urn:pulumi:s::p::a:b:Group$a:b:T::old-inner",
        "urn:pulumi:s::p::a:b:Group$a:b:Former::old-inner",
    ]
