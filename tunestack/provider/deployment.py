"""``tunestack:vertex:Deployment``: a version of a tuned model on an endpoint, with a share of its requests.

A change of the model or of its machines is an update, so that the endpoint's name, which clients know, stays: the
new one is deployed, requests go to it when it serves, and only then the old one is taken off. Where the new one
fails, the old one has lost nothing. A shared adapter is on an endpoint already: it is looked up and left alone.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from blake3 import blake3

from tunestack.provider.attempt import RESUME, Attempt, OperationFailed, finish
from tunestack.provider.deployment_inputs import REPLICAS, RESOURCES, DeploymentInputs, deployment_problems
from tunestack.provider.endpoint_changes import EndpointChanges
from tunestack.provider.inputs import check_inputs, known_fields, parse_inputs, whole_numbers
from tunestack.provider.keepers import Keepers
from tunestack.provider.resource import (
    Call,
    Change,
    Checked,
    Created,
    Differences,
    Found,
    InitFailed,
    Refused,
    Resource,
    Session,
    compare,
)
from tunestack.provider.values import UNKNOWN, Properties, has_unknown, plain
from tunestack.spec.spec_hash import canonical_json
from tunestack.vertex.endpoint import Deployed, Endpoint, Endpoints, shared_out
from tunestack.vertex.errors import Conflict, InvalidArgument, NotFound
from tunestack.vertex.model import ModelName, ModelRegistry, ModelVersion

SERVING, DEPLOYING, SHARED = "SERVING", "DEPLOYING", "SHARED"
OWNER_LABEL = "tunestack-deployment"
"""Label of an endpoint that a Deployment made: whose it is."""


class DeploymentResource(Resource):
    """Check, diff, create, read, update and delete of a deployment."""

    token: ClassVar[str] = "tunestack:vertex:Deployment"  # noqa: S105 - a Pulumi type token
    computed: ClassVar[tuple[str, ...]] = (
        "endpointName", "deployedModelId", "retiring", "endpointCreated", "trafficSplit", "state",
        "operation",
    )  # fmt: skip

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._endpoints = Endpoints(session.vertex)
        self._registry = ModelRegistry(session.vertex)
        self._keepers = Keepers(session.marks, self.token)
        self._changes = EndpointChanges(session, self._endpoints)
        self._declared: tuple[str, frozenset[str]] = ("", frozenset())

    # Pure

    def check(self, inputs: Properties) -> Checked:
        """Every rule as a problem of its property; also that a shared adapter needs no machines."""
        given = dict(inputs)
        if given.get("project") is None and self.session.configuration.project is not None:
            given["project"] = self.session.configuration.project
        checked, problems = check_inputs(DeploymentInputs, given)
        return Checked(checked, problems or deployment_problems(checked))

    def differences(self, olds: Properties, old_inputs: Properties, news: Properties) -> Differences:
        """Another endpoint is another deployment; another model or other machines are changed behind the same one."""
        # A Diff is followed by ``seen``, which is not told of the state.
        self._declared = (
            str(plain(olds.get("endpointName")) or ""), frozenset({str(plain(olds.get("deployedModelId")))})
        )  # fmt: skip
        replaces = {"project", "location", "endpoint", "encryptionSpec"}
        was_shared = not any(old_inputs.get(kind) for kind in RESOURCES)
        if was_shared != (not any(news.get(kind) for kind in RESOURCES)):
            replaces |= set(RESOURCES)
        changes = compare(old_inputs, news, replaces=frozenset(replaces))
        if plain(olds.get("state")) == DEPLOYING:
            return Differences({**changes, "state": Change.UPDATE}, frozenset({"state"}))
        return Differences(changes)

    def preview(self, inputs: Properties, olds: Properties | None) -> Properties:
        """The endpoint stays; what is on it is known afterwards."""
        unknown = dict.fromkeys(self.computed, UNKNOWN)
        if olds is None or plain(olds.get("state")) == SHARED:
            return {**inputs, **unknown}
        stays: Properties = {key: olds[key] for key in ("endpointName", "endpointCreated") if key in olds}
        return {**inputs, **unknown, **stays}

    def seen(self, id_: str, urn: str, *, kept: bool) -> None:
        """Remembers which deployments this update keeps."""
        endpoint, deployed = self._declared
        self._keepers.seen(endpoint, urn, deployed if kept else None)

    # Create and update

    async def create(self, call: Call, inputs: Properties) -> Created:
        """Makes the endpoint where none is given, deploys, and moves the requests once the model serves."""
        attempt = Attempt("", inputs, {})
        outputs = await self._carry_out(call, attempt, {})
        return Created(attempt.id, outputs)

    async def update(self, call: Call, id_: str, olds: Properties, news: Properties) -> Properties:
        """The same again beside what is there, which is taken off at the end."""
        kept = {key: plain(olds[key]) for key in self.computed if key in olds}
        return await self._carry_out(call, Attempt(id_, news, kept), plain(olds))

    async def _carry_out(self, call: Call, attempt: Attempt, olds: Properties) -> Properties:
        if has_unknown(attempt.inputs):
            raise Refused("INVALID_ARGUMENT", "an input is still unknown: nothing can be deployed")
        spec = parse_inputs(DeploymentInputs, attempt.inputs)
        work = (
            self._reach(call, spec, attempt, olds) if spec.resources() else self._shared(call, spec, attempt)
        )
        return await attempt.carry_out(call, work)

    async def _version(self, spec: DeploymentInputs) -> ModelVersion:
        try:
            return await self._registry.get(spec.model)
        except NotFound:
            raise Refused("NOT_FOUND", f"model: there is no {spec.model}") from None

    async def _shared(self, call: Call, spec: DeploymentInputs, attempt: Attempt) -> None:
        version = await self._version(spec)
        if not version.endpoints:
            raise Refused(
                "FAILED_PRECONDITION",
                f"model: {spec.model} is on no endpoint: give one of {', '.join(RESOURCES)} to deploy it",
            )
        endpoint, id_ = version.endpoints[0]
        attempt.known_as(f"{endpoint}/deployedModels/{id_}")
        attempt.outputs |= {
            "endpointName": endpoint, "deployedModelId": id_, "endpointCreated": False, "state": SHARED
        }  # fmt: skip
        await call.log.info(f"a shared adapter: served by {endpoint} already, nothing is deployed")

    async def _reach(self, call: Call, spec: DeploymentInputs, attempt: Attempt, olds: Properties) -> None:
        if operation := attempt.outputs.get("operation"):
            await self._resume(call, attempt, str(operation))
        await self._version(spec)
        name = await self._endpoint(call, spec, attempt)
        new = _deployed_id(call.urn, spec)
        before = {*(olds.get("retiring") or ()), str(olds.get("deployedModelId") or new)}
        retiring = sorted(before - {new})
        await self._deploy(call, spec, attempt, name, new, retiring)
        attempt.known_as(f"{name}/deployedModels/{new}")
        self._keepers.seen(name, call.urn, {new})
        split = await self._changes.share(call, attempt, name, new, spec.share, without=retiring)
        for old in retiring:
            await self._changes.undeploy(call, name, old)
        attempt.outputs |= {"trafficSplit": split, "state": SERVING, "deployedModelId": new}
        attempt.outputs |= {"retiring": None, "operation": None}

    async def _resume(self, call: Call, attempt: Attempt, operation: str) -> None:
        attempt.left = True
        try:
            await finish(self.session, call, {"name": operation}, "deploying")
        except OperationFailed as failure:
            await call.log.warning(f"what was under way failed: {failure}")
        except NotFound:
            pass  # operations are forgotten after a while: the endpoint says what came of it
        attempt.outputs["operation"] = None

    async def _endpoint(self, call: Call, spec: DeploymentInputs, attempt: Attempt) -> str:
        """The full name of the endpoint: given, made before, or made now under an id that follows from the URN."""
        owner = blake3(call.urn.encode()).hexdigest(length=8)
        if spec.endpoint is not None:
            attempt.outputs |= {"endpointName": spec.endpoint, "endpointCreated": False}
            try:
                await self._endpoints.get(spec.endpoint)
            except NotFound:
                raise Refused("NOT_FOUND", f"endpoint: there is no {spec.endpoint}") from None
            return spec.endpoint
        endpoint_id = f"{_slug(call.name)}-{owner[:8]}"
        name = str(attempt.outputs.get("endpointName") or "")
        name = name or f"projects/{spec.project}/locations/{spec.location}/endpoints/{endpoint_id}"
        labels = {**(spec.labels or {}), OWNER_LABEL: owner}
        try:
            found = await self._endpoints.get(name)
        except NotFound:
            await call.log.status(f"making the endpoint {endpoint_id}")
            body: dict[str, Any] = {"displayName": spec.display_name or call.name, "labels": labels}
            if spec.encryption_spec is not None:
                body["encryptionSpec"] = {"kmsKeyName": spec.encryption_spec.kms_key_name}
            known = {"endpointName": name, "endpointCreated": True, "state": DEPLOYING}
            id_ = f"{name}/deployedModels/{_deployed_id(call.urn, spec)}"
            try:
                with attempt.sending(id_, **known):
                    operation = await self._endpoints.create(
                        spec.project, spec.location, name.rsplit("/", 1)[1], body
                    )
                await finish(self.session, call, operation, f"making the endpoint {endpoint_id}")
            except Conflict:  # an answer of ours was lost, and it was made
                attempt.in_doubt(id_, known)
            except OperationFailed:
                attempt.left = False
                raise
            await self._changes.until(call, name, lambda _: True)
            return name
        if found.labels.get(OWNER_LABEL) != owner and not attempt.outputs.get("endpointCreated"):
            raise Refused(
                "ALREADY_EXISTS", f"{name} exists and is not ours: name it as endpoint to deploy on it"
            )
        attempt.outputs |= {"endpointName": name, "endpointCreated": True}
        fields: dict[str, Any] = {}
        if found.labels != labels:
            fields["labels"] = labels
        if found.json.get("displayName") != (spec.display_name or call.name):
            fields["displayName"] = spec.display_name or call.name
        if fields:
            with attempt.sending(f"{name}/deployedModels/{_deployed_id(call.urn, spec)}"):
                await self._endpoints.patch(name, fields)
        return name

    async def _deploy(
        self,
        call: Call,
        spec: DeploymentInputs,
        attempt: Attempt,
        name: str,
        new: str,
        retiring: list[str],
    ) -> None:
        there = (await self._endpoints.get(name)).find(new)
        if there is not None:
            await self._changes.resize(call, spec, attempt, name, there)
            return
        body: dict[str, Any] = {"id": new, "model": spec.model, **spec.resources()}
        body["displayName"] = spec.display_name or call.name
        if spec.service_account is not None:
            body["serviceAccount"] = spec.service_account
        if spec.checkpoint_id is not None:
            body["checkpointId"] = spec.checkpoint_id
        id_ = f"{name}/deployedModels/{new}"
        known = {"state": DEPLOYING, "deployedModelId": new, "retiring": retiring or None}
        await call.log.info(f"deploying {spec.model} on {name}")
        try:
            with attempt.sending(id_, **known):
                operation = await self._endpoints.deploy(name, body)
        except (Conflict, InvalidArgument) as error:
            # The second of two requests of which the first's answer was lost: it is there, or will be.
            if (await self._endpoints.get(name)).find(new) is None and not isinstance(error, Conflict):
                raise
            attempt.in_doubt(id_, known)
        else:
            attempt.outputs["operation"] = operation.get("name")
            try:
                await finish(self.session, call, operation, f"deploying {spec.model.rsplit('/', 1)[1]}")
            except OperationFailed:
                attempt.outputs["operation"] = None
                raise
        await self._changes.until(call, name, lambda endpoint: endpoint.serves(new))

    # Read and delete

    async def read(self, call: Call, id_: str, outputs: Properties, inputs: Properties) -> Found | None:
        """As it is; a share that was changed by hand stands in the inputs, so that the next up mends it."""
        name, _, deployed_id = id_.partition("/deployedModels/")
        name = str(plain(outputs.get("endpointName")) or name)
        deployed_id = str(plain(outputs.get("deployedModelId")) or deployed_id)
        try:
            endpoint = await self._endpoints.get(name)
        except NotFound:
            return None
        there = endpoint.find(deployed_id)
        if not inputs:
            return self._imported(id_, endpoint, there) if there is not None else None
        if plain(outputs.get("state")) == DEPLOYING:
            raise InitFailed(id_, outputs, [f"{name} does not serve this model yet; {RESUME}"], inputs)
        if there is None:
            return None
        found = {"trafficSplit": endpoint.traffic}
        given = dict(inputs)
        if plain(outputs.get("state")) == SERVING and not has_unknown(inputs):
            declared = plain(inputs.get("traffic"))
            share = endpoint.traffic.get(deployed_id, 0)
            wanted = 100 if declared is None else declared
            if shared_out(endpoint.traffic, deployed_id, wanted) != endpoint.traffic:
                given["traffic"] = share
        return Found(id_, {**outputs, **given, **found}, given)

    def _imported(self, id_: str, endpoint: Endpoint, there: Deployed) -> Found:
        """What the program would say."""
        model = there.model
        project = self.session.configuration.project_of(id_)
        location = model.location
        name = id_.partition("/deployedModels/")[0]
        share = endpoint.traffic.get(there.id, 0)
        given: Properties = {
            "project": project,
            "location": location,
            "model": str(ModelName(project, location, model.id, model.version)),
        }
        if there.resources:
            given |= {
                "endpoint": name,
                "displayName": there.json.get("displayName"),
                "traffic": share if share != 100 else None,
                "serviceAccount": there.json.get("serviceAccount"),
                "checkpointId": there.json.get("checkpointId"),
                **whole_numbers(there.resources, frozenset(REPLICAS)),
            }
        known = known_fields(
            DeploymentInputs, {key: value for key, value in given.items() if value is not None}
        )
        inputs, _ = check_inputs(DeploymentInputs, known)
        outputs = {
            "endpointName": name,
            "deployedModelId": there.id,
            "endpointCreated": False,
            "trafficSplit": endpoint.traffic,
            "state": SERVING if there.resources else SHARED,
        }
        return Found(id_, {**inputs, **outputs}, inputs)

    async def delete(self, call: Call, id_: str, outputs: Properties, inputs: Properties) -> None:
        """Takes the requests away, undeploys, and deletes the endpoint where it was made for this. The model stays."""
        known = plain(outputs)
        name, _, first = id_.partition("/deployedModels/")
        name = str(known.get("endpointName") or name)
        if known.get("state") == SHARED:
            await call.log.info(f"kept {name}: a shared adapter belongs to its job")
            return
        if known.get("operation"):
            await self._resume(call, Attempt(id_, inputs, outputs), str(known["operation"]))
        begun = {first, str(known.get("deployedModelId") or ""), *(known.get("retiring") or ())}
        kept = self._keepers.parts_kept(name, begun)
        wanted = begun - kept
        try:
            endpoint = await self._endpoints.get(name)
        except NotFound:
            return
        for item in endpoint.deployed:
            if item.id in wanted:
                await self._changes.share(call, Attempt(id_, inputs, outputs), name, item.id, 0)
                await call.log.status("undeploying")
                await self._changes.undeploy(call, name, item.id)
        if kept:
            held = ", ".join(sorted(kept))
            await call.log.info(f"kept {held} on {name}: another resource of this update has it")
        left = [item for item in endpoint.deployed if item.id not in wanted]
        if not known.get("endpointCreated"):
            return
        if left:
            others = ", ".join(item.id for item in left)
            await call.log.warning(f"kept {name}: others are deployed on it ({others})")
            return
        await call.log.status("deleting the endpoint")
        await self._endpoints.delete(name)


def _deployed_id(urn: str, spec: DeploymentInputs) -> str:
    """The id of a deployment: ten digits that follow from the resource and from all that needs a new deployment.

    Source of the form: ``DeployedModel.id``, 1 to 10 digits. The same declaration has the same id, so that a request
    whose answer was lost may be sent again.
    """
    resources = spec.resources()
    for kind, value in resources.items():
        if isinstance(value, dict):
            resources[kind] = {key: part for key, part in value.items() if key not in REPLICAS}
    decides = [
        urn,
        spec.model,
        spec.service_account or "",
        spec.checkpoint_id or "",
        canonical_json(resources),
    ]
    digest = blake3("\0".join(decides).encode()).digest(length=8)
    return str(10**9 + int.from_bytes(digest) % (9 * 10**9))


def _slug(name: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].rstrip("-")
    return slug if slug[:1].isalpha() else f"e-{slug}".strip("-")
