"""Check, diff, create, read, update and delete of a resource, as its table says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from tunestack.emulator.gcp_provider import mapping
from tunestack.emulator.gcp_provider.check import check
from tunestack.emulator.gcp_provider.configuration import ATTRIBUTION
from tunestack.emulator.gcp_provider.difference import Change, changes
from tunestack.emulator.gcp_provider.errors import InitFailed, ProviderError, status_of
from tunestack.emulator.gcp_provider.rest import GoogleError, OperationFailed, Rest, is_operation
from tunestack.emulator.gcp_provider.schema import (
    Call,
    MissingVariable,
    ResourceType,
    expand,
    parse,
    variables_of,
)
from tunestack.emulator.gcp_provider.values import Value

#: How long an operation is waited for where the program sets no timeout (terraform-provider-google: 20 min).
OPERATION_SECONDS = 1200.0

State = Mapping[str, Value]


@dataclass(frozen=True)
class Found:
    """A resource as it was read: its id, its state, and the inputs that would make it so."""

    id: str
    outputs: dict[str, Value]
    inputs: dict[str, Value]


class Lifecycle:
    """The operations of one resource type against one configured provider.

    A type whose requests are more than one call an operation has a subclass (``ResourceType.lifecycle``).
    """

    taken = "It exists already."
    """What is said of a name that is taken."""

    def __init__(self, resource: ResourceType, rest: Rest) -> None:
        self.type = resource
        self.rest = rest

    # ---- what the engine asks -------------------------------------------------------------------------

    def check(
        self, name: str, seed: bytes, olds: State, news: State
    ) -> tuple[dict[str, Value], list[tuple[str, str]]]:
        """The inputs made complete, and (property, reason) of everything wrong with them."""
        inputs, failures = check(self.type, name, seed, olds, news)
        if self.type.service not in self.rest.configuration.endpoints:
            key = f"{self.type.service}CustomEndpoint"
            failures.append(("", f"{self.type.name} needs the provider's {key}, which is not set"))
        return inputs, failures

    def diff(self, state: State, inputs: State) -> list[Change]:
        """What must change for ``state`` to become what ``inputs`` say."""
        found = list(changes(self.type.properties, state, self.with_defaults(inputs)))
        if self.has_labels:
            of_program = {*inputs.get("labels", {}), *state.get("labels", {})}
            have, want = state.get("pulumiLabels") or {}, self.desired_labels(inputs, state)
            for key in sorted({*have, *want} - of_program):
                if have.get(key) != want.get(key):
                    kind = "add" if key not in have else "delete" if key not in want else "update"
                    found.append(Change(f'pulumiLabels["{key}"]', kind))  # type: ignore[arg-type]
        return found

    def same_identity(self, state: State, inputs: State) -> bool:
        """Whether a replacement would have the id of what it replaces, so that the old one must go first."""
        names = [name for name in variables_of(self.type.id) if not self._is_output(name)]
        new = self.variables(inputs)
        return len(names) == len(variables_of(self.type.id)) and all(
            state.get(name) == new.get(name) for name in names
        )

    def planned(self, inputs: State, state: State | None = None) -> dict[str, Value]:
        """What a preview can say of the resource after a create (or an update of ``state``).

        Absent properties are unknown until the server has answered.
        """
        kept: dict[str, Value] = {}
        if state is not None:
            changing = bool(self.diff(state, inputs))
            kept = {
                item.name: state[item.name]
                for item in self.type.properties
                if (item.output or item.server_default)
                and item.name in state
                and not (item.volatile and changing)
            }
        kept |= mapping.derive(self.type.properties, self.variables(inputs))
        return {**kept, **self.kept_inputs(inputs, state or {}), **inputs}

    async def create(self, name: str, inputs: State, seconds: float) -> tuple[str, dict[str, Value]]:
        """Create the resource; (id, outputs). Raises InitFailed for anything after the request that made it."""
        variables = self.variables({**self.kept_inputs(inputs, {}), **inputs})
        try:
            call, body = self.creation_call(inputs), self.creation_body(inputs)
            answer = await self.rest.call(self.type.service, call, variables, body)
        except GoogleError as error:
            if error.http_status == 409 and (taken := await self.adopt(name, inputs, seconds)) is not None:
                return taken
            self.fail("creating", error, name=name, variables=self.variables(self.planned(inputs)))
        try:
            if is_operation(answer):
                variables = {**variables, **self.variables_of_operation(answer)}
                answer = await self.rest.wait(self.type.service, answer, seconds or OPERATION_SECONDS)
            variables = {**variables, **mapping.decode(self.type.properties, answer)}
            await self.after_creation(variables, inputs)
            told = mapping.decode([item for item in self.type.properties if item.kept], answer)
            outputs = self.outputs(await self.fetch(variables), inputs, told)
            return expand(self.type.id, self.variables(outputs)), outputs
        except OperationFailed:
            raise
        except (GoogleError, ProviderError) as error:
            raise self.incomplete(variables, inputs, error) from error

    async def adopt(self, name: str, inputs: State, seconds: float) -> tuple[str, dict[str, Value]] | None:
        """Take over what a run that was cut off created under the same automatic name; None where it is not so.

        The engine derives the seed from the URN (engine.md B.3.17), so only an earlier run of this very resource
        can have made that name in this project.
        """
        autoname = self.type.autoname
        if autoname is None or not autoname.made(name, str(inputs.get(autoname.property))):
            return None
        variables = self.variables(self.planned(inputs))
        try:
            state = self.outputs(await self.fetch(variables), inputs, {})
        except (GoogleError, ProviderError):
            return None
        if any(change.replaces for change in self.diff(state, inputs)):
            return None
        identity = expand(self.type.id, self.variables(state))
        return identity, await self.update(identity, state, inputs, seconds)

    async def read(self, identity: str, state: State, inputs: State) -> Found | None:
        """The resource as it is now; None where it is gone. ``state`` and ``inputs`` are empty on import."""
        known = (
            {**inputs, **state} if state else {**self.kept_inputs({}, {}), **self.variables_of_id(identity)}
        )
        variables = self.variables({"id": identity, **known})
        try:
            body = await self.fetch(variables)
        except GoogleError as error:
            if error.http_status == 404:
                return None
            self.fail("reading", error, variables=variables)
        outputs = self.outputs(body, inputs, {**variables, **state})
        return Found(
            expand(self.type.id, self.variables(outputs)), outputs, dict(inputs) or self.inputs_of(outputs)
        )

    async def update(self, identity: str, state: State, inputs: State, seconds: float) -> dict[str, Value]:
        """Bring the resource to ``inputs``; its new state. Without a difference it is only read again."""
        variables = self.variables({"id": identity, **state, **self.kept_inputs(inputs, state)})
        difference = self.diff(state, inputs)
        body = self.update_body(difference, state, inputs)
        try:
            if body and self.type.update is not None:
                address = self.rest.address(self.type.service, self.type.update.url, variables)
                if self.type.patch == "mask":
                    mask = ",".join(self.type.masks.get(key, key) for key in body)
                    address += f"{'&' if '?' in address else '?'}updateMask={mask}"
                if self.type.envelope is not None:
                    body = {self.type.envelope: body}
                answer = await self.rest.request(self.type.update.method, address, body=body)
                if is_operation(answer):
                    await self.rest.wait(self.type.service, answer, seconds or OPERATION_SECONDS)
            await self.after_update(variables, difference, inputs)
            return self.outputs(await self.fetch(variables), inputs, state)
        except GoogleError as error:
            self.fail("updating", error, variables=variables)

    async def delete(self, identity: str, state: State, seconds: float) -> None:
        """Delete the resource; one that is gone already is no error."""
        policy = state.get("deletionPolicy")
        if policy == "PREVENT":
            raise ProviderError(
                "FAILED_PRECONDITION",
                f"{identity}: deletionPolicy is PREVENT; set it to DELETE and run up first",
            )
        if policy == "ABANDON":
            return
        variables = self.variables(state) if state else self.variables_of_id(identity)
        variables["id"] = identity
        try:
            await self.remove(variables, state, seconds or OPERATION_SECONDS)
        except GoogleError as error:
            if error.http_status != 404:
                self.fail("deleting", error, variables=variables)

    # ---- what a subclass may do otherwise -------------------------------------------------------------

    def creation_call(self, inputs: State) -> Call:
        return self.type.create

    def creation_body(self, inputs: State) -> mapping.Json:
        body = mapping.encode(self.type.properties, inputs)
        if self.has_labels and (labels := self.desired_labels(inputs, None)):
            body["labels"] = labels
        return body

    def update_body(self, difference: list[Change], state: State, inputs: State) -> mapping.Json:
        """What to send, by top-level key of Google's JSON; nothing where no change is Google's to know."""
        body: mapping.Json = {}
        for name in dict.fromkeys(change.property for change in difference):
            item = self.type.property_named(name)
            if item is None or item.path is None:
                continue
            new = mapping.wanted(item, inputs)
            if self.type.patch == "merge":
                mapping.put(body, item.path, mapping.patch(item, state.get(name), new))
            else:
                mapping.put(body, item.path, None if new is None else mapping.encode_value(item, new))
        if any(change.property in ("labels", "pulumiLabels") for change in difference):
            body["labels"] = self._label_patch(state, inputs)
        return self.creation_body(inputs) if body and self.type.patch == "whole" else body

    async def after_creation(self, variables: State, inputs: State) -> None:
        """Requests that follow the one that created the resource."""

    async def after_update(self, variables: State, difference: list[Change], inputs: State) -> None:
        """Requests that follow (or stand in for) the PATCH."""

    async def fetch(self, variables: State) -> mapping.Json:
        return await self.rest.call(self.type.service, self.type.read, variables)

    async def remove(self, variables: State, state: State, seconds: float) -> None:
        if self.type.delete is not None:
            answer = await self.rest.call(self.type.service, self.type.delete, variables)
            if is_operation(answer):
                await self.rest.wait(self.type.service, answer, seconds)

    # ---- names and values -----------------------------------------------------------------------------

    @property
    def has_labels(self) -> bool:
        return self.type.property_named("effectiveLabels") is not None

    def with_defaults(self, inputs: State) -> dict[str, Value]:
        """The inputs with project and region from the provider, where the type has them."""
        defaults = self.rest.configuration.defaults
        return {
            **{key: value for key, value in defaults.items() if value and self.type.property_named(key)},
            **{key: value for key, value in inputs.items() if value is not None},
        }

    def variables(self, values: State) -> dict[str, Value]:
        """What the address templates draw on: the resource's values over the provider's."""
        return {
            **self.rest.configuration.defaults,
            **{key: value for key, value in values.items() if value is not None},
        }

    def variables_of_id(self, identity: str) -> dict[str, Value]:
        # The forms of an import first: a policy member's id alone cannot be told apart again.
        for template in (*self.type.imports, self.type.id):
            if (found := parse(template, identity)) is not None:
                return self.variables(found)
        forms = ", ".join((self.type.id, *self.type.imports)).replace("{+", "{")
        raise ProviderError("INVALID_ARGUMENT", f"{identity!r} is no id of a {self.type.title}: {forms}")

    def variables_of_operation(self, operation: Mapping[str, Any]) -> dict[str, Value]:
        """The server-chosen name, which an operation's own name begins with."""
        name, _, _ = str(operation.get("name", "")).partition("/operations/")
        named = self.type.property_named("name")
        return {"name": name} if named is not None and named.output and name else {}

    def kept_inputs(self, inputs: State, state: State) -> dict[str, Value]:
        """Properties that no server knows: as the program says, else as they were, else as documented."""
        complete = self.with_defaults(inputs)
        return {
            item.name: value
            for item in self.type.properties
            if item.path is None and not item.output and item.kind != "labels"
            for value in [complete.get(item.name, state.get(item.name) if item.server_default else None)]
            for value in [item.default if value is None else value]
            if value is not None
        }

    def outputs(self, body: Mapping[str, Any], inputs: State, state: State) -> dict[str, Value]:
        """The resource's state, from what the server says and what only the program knows."""
        kept = self.kept_inputs(inputs or state, state)
        decoded = mapping.decode(self.type.properties, body)
        values = {**kept, **self._untold(inputs or state, state), **decoded}
        derived = mapping.derive(self.type.properties, self.variables({**inputs, **values}))
        values = {**derived, **values}
        if self.has_labels:
            effective = values.setdefault("effectiveLabels", {})
            imported = not inputs and not state.get("pulumiLabels")
            mine = {**inputs.get("labels", {}), **state.get("labels", {})}
            managed = {**mine, **(state.get("pulumiLabels") or self.desired_labels(inputs, None))}
            if imported:
                mine = {key: value for key, value in effective.items() if key != ATTRIBUTION}
                managed = dict(effective)
            values["labels"] = {key: effective[key] for key in mine if key in effective}
            values["pulumiLabels"] = {key: effective[key] for key in managed if key in effective}
        return values

    def _untold(self, inputs: State, state: State) -> dict[str, Value]:
        """What reads do not tell: the program's word for an input, else what was told once."""
        values = {
            item.name: state.get(item.name) if item.output else mapping.wanted(item, inputs)
            for item in self.type.properties
            if item.kept
        }
        return {name: value for name, value in values.items() if value is not None}

    def inputs_of(self, outputs: State) -> dict[str, Value]:
        """The inputs that a program would have to state for an imported resource."""
        defaults = self.rest.configuration.defaults
        return {
            item.name: mapping.without_outputs(item, value)
            for item in self.type.properties
            for value in [outputs.get(item.name)]
            if not item.output
            and value not in (None, "", [], {}, item.default, defaults.get(item.name))
            and (item.required or not item.server_default or item.name == "project")
        }

    def desired_labels(self, inputs: State, state: State | None) -> dict[str, str]:
        """The program's labels over the provider's; ``state`` None: of a resource about to be created."""
        configuration = self.rest.configuration
        added = configuration.labels_to_add(creating=state is None)
        if state is not None and ATTRIBUTION in (state.get("pulumiLabels") or {}):
            added = configuration.labels_to_add(creating=True)
        return {**added, **(inputs.get("labels") or {})}

    def secrets_of(self, *given: frozenset[str]) -> frozenset[str]:
        """Names of the properties to hand out as secrets: what came in so, and what the type holds for secret."""
        own = frozenset(item.name for item in self.type.properties if item.secret)
        return own.union(*given)

    def fail(
        self, doing: str, error: GoogleError, *, name: str = "NAME", variables: State | None = None
    ) -> NoReturn:
        """Raise Google's error as the engine's, with the way out where there is one."""
        message = f"error {doing} {self.type.title}: {error}"
        if doing == "creating" and error.http_status == 409:
            try:
                identity = expand(self.type.id, variables or {})
            except MissingVariable:
                identity = "ID"
            message += (
                f"\n{self.taken} To take it over: pulumi import {self.type.name} {name} {identity}"
                "\nTo have another one, give it another name."
            )
        raise ProviderError(status_of(error.http_status), message) from error

    def incomplete(self, variables: State, inputs: State, error: Exception) -> Exception:
        """The failure of a resource that exists: InitFailed where its id is known, else the error itself."""
        try:
            identity = expand(self.type.id, variables)
        except MissingVariable:
            return error if isinstance(error, ProviderError) else ProviderError("UNAVAILABLE", str(error))
        return InitFailed(identity, self.planned(inputs), self.secrets_of(), inputs, [str(error)])

    def _label_patch(self, state: State, inputs: State) -> dict[str, Value]:
        new = self.desired_labels(inputs, state)
        gone = {*(state.get("pulumiLabels") or {}), *(state.get("labels") or {})} - set(new)
        if self.type.patch == "merge":
            return {**dict.fromkeys(sorted(gone)), **new}
        others = {k: v for k, v in (state.get("effectiveLabels") or {}).items() if k not in gone}
        return {**others, **new}

    def _is_output(self, name: str) -> bool:
        item = self.type.property_named(name)
        return item is not None and item.output
