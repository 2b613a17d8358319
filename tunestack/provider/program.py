"""The resources as a Pulumi program declares them: typed, by keyword, snake_case here and camelCase on the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pulumi
from pulumi import Input, Output, ResourceOptions

from tunestack.provider.declaring import Declared, OutputOf, wire
from tunestack.provider.program_models import Deployment, ModelVersion
from tunestack.provider.program_quota import Grant

__all__ = [
    "CustomJob",
    "Deployment",
    "Evaluation",
    "Grant",
    "ModelVersion",
    "PipelineJob",
    "Provider",
    "TuningJob",
]

FailurePolicy = Literal["PIPELINE_FAILURE_POLICY_FAIL_SLOW", "PIPELINE_FAILURE_POLICY_FAIL_FAST"]
RetryCause = Literal["stockout", "preemption", "internal", "deadline"]


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
        super().__init__("tunestack", name, wire(inputs), opts)


class PipelineJob(Declared):
    """A run of a tuning pipeline, waited for; adopted instead of submitted where one with the same identity exists.

    ``identity``: everything that decides the result, as strings; absent, it is derived from template, location and
    parameters without display names. A change of it, of ``project`` or of ``location`` is another run; every other
    change is written down only, since Vertex AI has no patch for pipeline jobs.
    """

    project = OutputOf[str]("project")
    location = OutputOf[str]("location")
    display_name = OutputOf[str]("displayName")
    spec_hash = OutputOf[str]("specHash")
    name = OutputOf[str]("name")
    state = OutputOf[str]("state")
    model = OutputOf[str]("model")
    endpoint = OutputOf[str]("endpoint")
    error = OutputOf[Mapping[str, Any]]("error")
    create_time = OutputOf[str]("createTime")
    start_time = OutputOf[str]("startTime")
    end_time = OutputOf[str]("endTime")
    duration_seconds = OutputOf[float]("durationSeconds")
    adopted = OutputOf[bool]("adopted")
    tuning = OutputOf[Mapping[str, float]]("tuning")

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
        failure_policy: Input[FailurePolicy] | None = None,
        input_artifacts: Input[Mapping[str, Mapping[str, Input[str]]]] | None = None,
        encryption_spec: Input[Mapping[str, Input[str]]] | None = None,
        network: Input[str] | None = None,
        reserved_ip_ranges: Input[Sequence[str]] | None = None,
        psc_interface_config: Input[Mapping[str, Any]] | None = None,
        preflight_validations: Input[bool] | None = None,
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
            "failure_policy": failure_policy,
            "input_artifacts": input_artifacts,
            "encryption_spec": encryption_spec,
            "network": network,
            "reserved_ip_ranges": reserved_ip_ranges,
            "psc_interface_config": psc_interface_config,
            "preflight_validations": preflight_validations,
            "labels": labels,
            "identity": identity,
            "force_new": force_new,
            "progress": progress,
            "wait": wait,
            "on_cancel": on_cancel,
            "retry_failed": retry_failed,
            "deletion_policy": deletion_policy,
        }
        super().__init__("tunestack:vertex:PipelineJob", resource_name, inputs, opts)


class TuningJob(Declared):
    """Managed tuning of a model, waited for; adopted instead of submitted where one with the same identity exists.

    Values inside a spec have Google's own names: ``supervised_tuning_spec={"trainingDatasetUri": …}``. Exactly one
    spec, and ``base_model`` or ``pre_tuned_model``. ``identity`` as for ``PipelineJob``; absent, it is derived from
    model, spec, region, key and ``output_uri``. A tuning job can be neither changed nor deleted.
    """

    project = OutputOf[str]("project")
    location = OutputOf[str]("location")
    spec_hash = OutputOf[str]("specHash")
    name = OutputOf[str]("name")
    state = OutputOf[str]("state")
    model = OutputOf[str]("model")
    endpoint = OutputOf[str]("endpoint")
    error = OutputOf[Mapping[str, Any]]("error")
    create_time = OutputOf[str]("createTime")
    start_time = OutputOf[str]("startTime")
    end_time = OutputOf[str]("endTime")
    duration_seconds = OutputOf[float]("durationSeconds")
    adopted = OutputOf[bool]("adopted")
    experiment = OutputOf[str]("experiment")
    checkpoints = OutputOf[Sequence[Mapping[str, Any]]]("checkpoints")
    tuning_data_stats = OutputOf[Mapping[str, Any]]("tuningDataStats")

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
        super().__init__("tunestack:vertex:TuningJob", resource_name, inputs, opts)


class CustomJob(Declared):
    """A trainer of one's own on chosen accelerators, waited for; adopted where one with the same identity exists.

    Values inside ``job_spec`` have Google's own names: ``{"workerPoolSpecs": […]}``. ``identity`` as for
    ``PipelineJob``; absent, it is derived from worker pools, output directory, region and key: when, on what terms
    and as whom it runs decide nothing. ``model_directory`` is where it leaves its model.
    """

    project = OutputOf[str]("project")
    location = OutputOf[str]("location")
    spec_hash = OutputOf[str]("specHash")
    name = OutputOf[str]("name")
    state = OutputOf[str]("state")
    model = OutputOf[str]("model")
    endpoint = OutputOf[str]("endpoint")
    error = OutputOf[Mapping[str, Any]]("error")
    create_time = OutputOf[str]("createTime")
    start_time = OutputOf[str]("startTime")
    end_time = OutputOf[str]("endTime")
    duration_seconds = OutputOf[float]("durationSeconds")
    adopted = OutputOf[bool]("adopted")
    model_directory = OutputOf[str]("modelDirectory")
    web_access_uris = OutputOf[Mapping[str, str]]("webAccessUris")

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
        super().__init__("tunestack:vertex:CustomJob", resource_name, inputs, opts)


class Evaluation(Declared):
    """A tuned model judged against its base on held-out rows; a gate that fails turns the update red.

    ``model``: what the endpoint has to answer with, alone; where it is another one behind the same endpoint, as of a
    ``Deployment``, it is judged again.
    ``held_out``: mappings of ``name``, ``uri``, ``digest``. ``gate``: mappings of ``set``, ``metric`` and one of
    ``at_least``, ``at_most``, ``above_base``, ``below_base``.
    """

    verdict = OutputOf[str]("verdict")
    scores = OutputOf[Mapping[str, Any]]("scores")
    gate_results = OutputOf[Sequence[str]]("gateResults")
    samples = OutputOf[Sequence[Mapping[str, str]]]("samples")
    report_uri = OutputOf[str]("reportUri")

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
        model: Input[str] | None = None,
        labels: Input[Sequence[Input[str]]] | None = None,
        project: Input[str] | None = None,
        opts: ResourceOptions | None = None,
    ) -> None:
        inputs = {
            "project": project,
            "location": location,
            "endpoint": endpoint,
            "model": model,
            "base_model": base_model,
            "task": task,
            "labels": labels,
            "held_out": [dict(held) for held in held_out],
            "gate": [wire(rule) for rule in gate],
            "max_output_tokens": max_output_tokens,
            "report_directory": report_directory,
        }
        super().__init__("tunestack:vertex:Evaluation", resource_name, inputs, opts)
