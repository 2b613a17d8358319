"""The program of the model-based test: declares what ``program.json`` beside its folder says."""

import json
from pathlib import Path

import pulumi

from tunestack.provider import CustomJob, Deployment, Grant, ModelVersion, PipelineJob, Provider, TuningJob

document = json.loads((Path.cwd().parent / "program.json").read_text())
project, location = document["project"], "us-central1"
base = pulumi.Config().require("endpoint")
vertex = Provider(
    "vertex",
    project=project,
    endpoint=base,
    access_token=pulumi.Output.secret("local"),
)
made = {}
google = None
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
        provider=vertex,
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
                "model_display_name": "a model",
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
