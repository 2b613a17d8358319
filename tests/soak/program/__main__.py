"""The program of the model-based test: declares what ``program.json`` beside its folder says."""

import json
from pathlib import Path

import pulumi

from tunestack.provider import (
    CustomJob,
    Deployment,
    Evaluation,
    Grant,
    ModelVersion,
    PipelineJob,
    Provider,
    TuningJob,
)

document = json.loads((Path.cwd().parent / "program.json").read_text())
project, location = document["project"], "us-central1"
base = pulumi.Config().require("endpoint")
made = {}
google = None
providers = {}


def provider(name: str) -> Provider:
    """Each is a process of its own."""
    if name not in providers:
        token = pulumi.Output.secret("local")
        providers[name] = Provider(name, project=project, endpoint=base, access_token=token)
    return providers[name]


provider("vertex")
for entry in document["resources"]:
    name = entry["name"]
    after = [made[other] for other in entry["after"]]
    if entry["kind"] == "bucket":
        import pulumi_gcp

        google = google or pulumi_gcp.Provider(
            "google", project=project, access_token="local", storage_custom_endpoint=f"{base}/storage/v1/"
        )
        made[name] = pulumi_gcp.storage.Bucket(
            name,
            location=location,
            labels={"label": entry["label"]},
            force_destroy=True,
            opts=pulumi.ResourceOptions(provider=google, depends_on=after),
        )
        continue
    options = pulumi.ResourceOptions(
        provider=provider("other" if entry["second"] else "vertex"),
        depends_on=after,
        custom_timeouts=pulumi.CustomTimeouts(create=f"{deadline}s", update=f"{deadline}s")
        if (deadline := entry["deadline"])
        else None,
    )
    if entry["kind"] == "version":
        model = made[entry["of"]].model
        made[name] = ModelVersion(
            name, location=location, source_model=model, aliases=[f"alias-{entry['label']}"], opts=options
        )
        continue
    if entry["kind"] == "deployment":
        machines = {"machineSpec": {"machineType": "n1-standard-4"}, "minReplicaCount": 1}
        # A pipeline tells its model without the version.
        model = made[entry["of"]].model.apply(lambda model: f"{model.partition('@')[0]}@1")
        made[name] = Deployment(
            name, location=location, model=model, dedicated_resources=machines, opts=options
        )
        continue
    if entry["kind"] == "evaluation":
        made[name] = Evaluation(
            name,
            location=location,
            endpoint=made[entry["of"]].endpoint,
            base_model="publishers/google/models/text-bison@001",
            task="classification",
            labels=["odd", "even"],
            held_out=[document["held_out"]],
            gate=[{"set": "held-out", "metric": "accuracy", "atLeast": 0.9 if entry["seed"] else 0.0}],
            max_output_tokens=8 if entry["label"] == "a" else 16,
            report_directory=f"gs://data/reports/{project}",
            opts=options,
        )
        continue
    if entry["kind"] == "grant":
        made[name] = Grant(
            name,
            quota_id=document["quota"],
            dimensions={"region": location},
            at_least=entry["amount"],
            request=True,
            contact_email="someone@example.com",
            justification="tuning",
            opts=options,
        )
        continue
    shared = {
        "location": location,
        "identity": entry["identity"],
        "labels": {"label": entry["label"]},
        "force_new": entry["force_new"],
        "retry_failed": entry["retry_failed"],
        "wait": entry["wait"],
        "on_cancel": entry["on_cancel"],
        "deletion_policy": entry["deletion_policy"],
        "opts": options,
    }
    title = entry["title"]
    if entry["kind"] == "pipelineJobs":
        made[name] = PipelineJob(
            name,
            display_name=title,
            template_uri="https://us-kfp.pkg.dev/ml-pipeline/large-language-model-pipelines/tune-large-model/v2.0.0",
            parameter_values={
                "project": project,
                "location": location,
                "model_display_name": f"model-{entry['seed']}",
                "dataset_uri": "gs://data/rows.jsonl",
                "train_steps": 40,
            },
            gcs_output_directory="gs://data/out",
            **shared,
        )
    elif entry["kind"] == "tuningJobs":
        made[name] = TuningJob(
            name,
            tuned_model_display_name=title,
            base_model="gemini-2.5-flash",
            supervised_tuning_spec={"trainingDatasetUri": "gs://data/train.jsonl"},
            **shared,
        )
    else:
        made[name] = CustomJob(
            name,
            display_name=title,
            job_spec={
                "workerPoolSpecs": [
                    {
                        "machineSpec": {"machineType": "n1-standard-4"},
                        "replicaCount": 1,
                        "containerSpec": {"imageUri": "example.com/trainer@sha256:" + "0" * 64},
                    }
                ]
            },
            **shared,
        )
pulumi.export("states", {name: made[name].state for name in made if hasattr(made[name], "state")})
