"""The resources as a Pulumi program declares them: typed, by keyword, snake_case here and camelCase on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar

import pulumi
from pulumi import Input, Output, ResourceOptions
from pydantic.alias_generators import to_camel

T = TypeVar("T")
RetryCause = Literal["stockout", "preemption", "internal", "deadline"]


_JOB_OUTPUTS = (
    "specHash", "name", "state", "model", "endpoint", "error", "createTime", "startTime", "endTime",
    "durationSeconds", "adopted",
)  # fmt: skip


class _OutputOf(Generic[T]):
    """An output under its Python name. The values live in the resource under their wire names, so that no key
    inside a value (a pipeline's parameter, a label) is ever renamed on its way."""

    def __init__(self, wire_name: str) -> None:
        self._wire_name = wire_name

    def __get__(self, resource: pulumi.Resource, _: type | None = None) -> Output[T]:
        output: Output[T] = resource.__dict__[self._wire_name]
        return output


def _wire(inputs: Mapping[str, Any], computed: Sequence[str] = ()) -> dict[str, Any]:
    """Inputs under their wire names; computed outputs as None, which is how Pulumi learns of them."""
    return {**{to_camel(name): value for name, value in inputs.items()}, **dict.fromkeys(computed)}


class Provider(pulumi.ProviderResource):
    """Where and as whom Vertex AI is called.

    ``endpoint`` stands in for every ``https://{location}-aiplatform.googleapis.com`` (``http://`` on loopback only);
    ``access_token`` (kept as a secret) for application default credentials.
    """

    def __init__(
        self,
        name: str,
        *,
        project: Input[str] | None = None,
        endpoint: Input[str] | None = None,
        access_token: Input[str] | None = None,
        storage_endpoint: Input[str] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        secret = None if access_token is None else Output.secret(access_token)
        inputs = {
            "project": project,
            "endpoint": endpoint,
            "access_token": secret,
            "storage_endpoint": storage_endpoint,
        }
        super().__init__("tunestack", name, _wire(inputs), opts)


class PipelineJob(pulumi.CustomResource):
    """A run of a tuning pipeline, waited for; adopted instead of submitted where one with the same identity exists.

    ``identity``: everything that decides the result, as strings; absent, it is derived from template, location and
    parameters without display names. A change of it, of ``project`` or of ``location`` is another run; every other
    change is written down only, since Vertex AI has no patch for pipeline jobs.
    """

    project = _OutputOf[str]("project")
    location = _OutputOf[str]("location")
    display_name = _OutputOf[str]("displayName")
    spec_hash = _OutputOf[str]("specHash")
    name = _OutputOf[str]("name")
    state = _OutputOf[str]("state")
    model = _OutputOf[str]("model")
    endpoint = _OutputOf[str]("endpoint")
    error = _OutputOf[Mapping[str, Any]]("error")
    create_time = _OutputOf[str]("createTime")
    start_time = _OutputOf[str]("startTime")
    end_time = _OutputOf[str]("endTime")
    duration_seconds = _OutputOf[float]("durationSeconds")
    adopted = _OutputOf[bool]("adopted")
    tuning = _OutputOf[Mapping[str, float]]("tuning")

    def __init__(
        self,
        resource_name: str,
        *,
        location: Input[str],
        display_name: Input[str],
        template_uri: Input[str],
        parameter_values: Input[Mapping[str, Any]],
        gcs_output_directory: Input[str],
        project: Input[str] | None = None,
        service_account: Input[str] | None = None,
        labels: Input[Mapping[str, Input[str]]] | None = None,
        identity: Input[Mapping[str, Input[str]]] | None = None,
        force_new: Input[str] | None = None,
        progress: Input[bool] | None = None,
        wait: Input[bool] | None = None,
        on_cancel: Input[Literal["detach", "cancel"]] | None = None,
        retry_failed: Input[bool | Sequence[RetryCause]] | None = None,
        deletion_policy: Input[Literal["ABANDON", "DELETE"]] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "project": project,
            "location": location,
            "display_name": display_name,
            "template_uri": template_uri,
            "parameter_values": parameter_values,
            "gcs_output_directory": gcs_output_directory,
            "service_account": service_account,
            "labels": labels,
            "identity": identity,
            "force_new": force_new,
            "progress": progress,
            "wait": wait,
            "on_cancel": on_cancel,
            "retry_failed": retry_failed,
            "deletion_policy": deletion_policy,
        }
        computed = (*_JOB_OUTPUTS, "tuning")
        super().__init__("tunestack:vertex:PipelineJob", resource_name, _wire(inputs, computed), opts)


class TuningJob(pulumi.CustomResource):
    """Managed tuning of a model, waited for; adopted instead of submitted where one with the same identity exists.

    Values inside a spec have Google's own names: ``supervised_tuning_spec={"trainingDatasetUri": …}``. Exactly one
    spec, and ``base_model`` or ``pre_tuned_model``. ``identity`` as for ``PipelineJob``; absent, it is derived from
    model, spec, region, key and ``output_uri``. A tuning job can be neither changed nor deleted.
    """

    project = _OutputOf[str]("project")
    location = _OutputOf[str]("location")
    spec_hash = _OutputOf[str]("specHash")
    name = _OutputOf[str]("name")
    state = _OutputOf[str]("state")
    model = _OutputOf[str]("model")
    endpoint = _OutputOf[str]("endpoint")
    error = _OutputOf[Mapping[str, Any]]("error")
    create_time = _OutputOf[str]("createTime")
    start_time = _OutputOf[str]("startTime")
    end_time = _OutputOf[str]("endTime")
    duration_seconds = _OutputOf[float]("durationSeconds")
    adopted = _OutputOf[bool]("adopted")
    experiment = _OutputOf[str]("experiment")
    checkpoints = _OutputOf[Sequence[Mapping[str, Any]]]("checkpoints")
    tuning_data_stats = _OutputOf[Mapping[str, Any]]("tuningDataStats")

    def __init__(
        self,
        resource_name: str,
        *,
        location: Input[str],
        base_model: Input[str] | None = None,
        pre_tuned_model: Input[Mapping[str, Input[str]]] | None = None,
        custom_base_model: Input[str] | None = None,
        supervised_tuning_spec: Input[Mapping[str, Any]] | None = None,
        preference_optimization_spec: Input[Mapping[str, Any]] | None = None,
        reinforcement_tuning_spec: Input[Mapping[str, Any]] | None = None,
        distillation_spec: Input[Mapping[str, Any]] | None = None,
        partner_model_tuning_spec: Input[Mapping[str, Any]] | None = None,
        full_fine_tuning_spec: Input[Mapping[str, Any]] | None = None,
        veo_tuning_spec: Input[Mapping[str, Any]] | None = None,
        veo_lora_tuning_spec: Input[Mapping[str, Any]] | None = None,
        tuned_model_display_name: Input[str] | None = None,
        description: Input[str] | None = None,
        encryption_spec: Input[Mapping[str, Input[str]]] | None = None,
        service_account: Input[str] | None = None,
        output_uri: Input[str] | None = None,
        project: Input[str] | None = None,
        labels: Input[Mapping[str, Input[str]]] | None = None,
        identity: Input[Mapping[str, Input[str]]] | None = None,
        force_new: Input[str] | None = None,
        progress: Input[bool] | None = None,
        wait: Input[bool] | None = None,
        on_cancel: Input[Literal["detach", "cancel"]] | None = None,
        retry_failed: Input[bool | Sequence[RetryCause]] | None = None,
        deletion_policy: Input[Literal["ABANDON", "DELETE"]] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "location": location,
            "base_model": base_model,
            "pre_tuned_model": pre_tuned_model,
            "custom_base_model": custom_base_model,
            "supervised_tuning_spec": supervised_tuning_spec,
            "preference_optimization_spec": preference_optimization_spec,
            "reinforcement_tuning_spec": reinforcement_tuning_spec,
            "distillation_spec": distillation_spec,
            "partner_model_tuning_spec": partner_model_tuning_spec,
            "full_fine_tuning_spec": full_fine_tuning_spec,
            "veo_tuning_spec": veo_tuning_spec,
            "veo_lora_tuning_spec": veo_lora_tuning_spec,
            "tuned_model_display_name": tuned_model_display_name,
            "description": description,
            "encryption_spec": encryption_spec,
            "service_account": service_account,
            "output_uri": output_uri,
            "project": project,
            "labels": labels,
            "identity": identity,
            "force_new": force_new,
            "progress": progress,
            "wait": wait,
            "on_cancel": on_cancel,
            "retry_failed": retry_failed,
            "deletion_policy": deletion_policy,
        }
        computed = (*_JOB_OUTPUTS, "experiment", "checkpoints", "tuningDataStats")
        super().__init__("tunestack:vertex:TuningJob", resource_name, _wire(inputs, computed), opts)


class CustomJob(pulumi.CustomResource):
    """A trainer of one's own on chosen accelerators, waited for; adopted where one with the same identity exists.

    Values inside ``job_spec`` have Google's own names: ``{"workerPoolSpecs": […]}``. ``identity`` as for
    ``PipelineJob``; absent, it is derived from worker pools, output directory, region and key: when, on what terms
    and as whom it runs decide nothing. ``model_directory`` is where it leaves its model.
    """

    project = _OutputOf[str]("project")
    location = _OutputOf[str]("location")
    spec_hash = _OutputOf[str]("specHash")
    name = _OutputOf[str]("name")
    state = _OutputOf[str]("state")
    model = _OutputOf[str]("model")
    endpoint = _OutputOf[str]("endpoint")
    error = _OutputOf[Mapping[str, Any]]("error")
    create_time = _OutputOf[str]("createTime")
    start_time = _OutputOf[str]("startTime")
    end_time = _OutputOf[str]("endTime")
    duration_seconds = _OutputOf[float]("durationSeconds")
    adopted = _OutputOf[bool]("adopted")
    model_directory = _OutputOf[str]("modelDirectory")
    web_access_uris = _OutputOf[Mapping[str, str]]("webAccessUris")

    def __init__(
        self,
        resource_name: str,
        *,
        location: Input[str],
        display_name: Input[str],
        job_spec: Input[Mapping[str, Any]],
        encryption_spec: Input[Mapping[str, Input[str]]] | None = None,
        project: Input[str] | None = None,
        labels: Input[Mapping[str, Input[str]]] | None = None,
        identity: Input[Mapping[str, Input[str]]] | None = None,
        force_new: Input[str] | None = None,
        progress: Input[bool] | None = None,
        wait: Input[bool] | None = None,
        on_cancel: Input[Literal["detach", "cancel"]] | None = None,
        retry_failed: Input[bool | Sequence[RetryCause]] | None = None,
        deletion_policy: Input[Literal["ABANDON", "DELETE"]] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "location": location,
            "display_name": display_name,
            "job_spec": job_spec,
            "encryption_spec": encryption_spec,
            "project": project,
            "labels": labels,
            "identity": identity,
            "force_new": force_new,
            "progress": progress,
            "wait": wait,
            "on_cancel": on_cancel,
            "retry_failed": retry_failed,
            "deletion_policy": deletion_policy,
        }
        computed = (*_JOB_OUTPUTS, "modelDirectory", "webAccessUris")
        super().__init__("tunestack:vertex:CustomJob", resource_name, _wire(inputs, computed), opts)


class Evaluation(pulumi.CustomResource):
    """A tuned model judged against its base on held-out rows; a gate that fails turns the update red.

    ``held_out``: mappings of ``name``, ``uri``, ``digest``. ``gate``: mappings of ``set``, ``metric`` and one of
    ``at_least``, ``at_most``, ``above_base``, ``below_base``.
    """

    verdict = _OutputOf[str]("verdict")
    scores = _OutputOf[Mapping[str, Any]]("scores")
    gate_results = _OutputOf[Sequence[str]]("gateResults")
    samples = _OutputOf[Sequence[Mapping[str, str]]]("samples")
    report_uri = _OutputOf[str]("reportUri")

    def __init__(
        self,
        resource_name: str,
        *,
        location: Input[str],
        endpoint: Input[str],
        base_model: Input[str],
        task: Input[Literal["classification", "generation"]],
        held_out: Sequence[Mapping[str, Input[str]]],
        gate: Sequence[Mapping[str, Input[Any]]],
        max_output_tokens: Input[int],
        report_directory: Input[str],
        labels: Input[Sequence[Input[str]]] | None = None,
        project: Input[str] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "project": project,
            "location": location,
            "endpoint": endpoint,
            "base_model": base_model,
            "task": task,
            "labels": labels,
            "held_out": [dict(held) for held in held_out],
            "gate": [_wire(rule) for rule in gate],
            "max_output_tokens": max_output_tokens,
            "report_directory": report_directory,
        }
        computed = ("verdict", "scores", "gateResults", "samples", "reportUri")
        super().__init__("tunestack:vertex:Evaluation", resource_name, _wire(inputs, computed), opts)
