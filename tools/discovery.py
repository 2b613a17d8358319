"""Prune Google's discovery documents to what the emulator serves: routes and schemas, without prose.

    python tools/discovery.py [--check]

Reads the documents that google-api-python-client ships (a development dependency) and writes one compact
file a document to ``tunestack/emulator/discovery/``. Every method keeps its id, verb and path, so that the
emulator can answer 501 by name; parameters and schemas are kept only for the collections in ``SERVED``.

Two facts are read out of prose, because the documents have no field for them: a description that starts
with "Required." makes a property ``required``, one that starts with "Output only." makes it ``readOnly``.
Cloud Quotas has no document in the package: ``tools/documents`` holds one of ours, written from its protos.
Enum numbers come from the client library's protos: REST clients send enums as numbers, and a value's place
in the discovery list is not its number.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

OURS = Path(__file__).parent / "documents"
OUTPUT = Path(__file__).parent.parent / "tunestack" / "emulator" / "discovery"

_VERTEX = (
    "operations",
    *(
        f"projects.locations.{collection}"
        for collection in (
            "batchPredictionJobs",
            "customJobs",
            "datasets",
            "endpoints",
            "evaluateDataset",
            "evaluateInstances",
            "evaluationExperiments",
            "evaluationItems",
            "evaluationMetrics",
            "evaluationRuns",
            "evaluationSets",
            "get",
            "list",
            "metadataStores",
            "models",
            "operations",
            "pipelineJobs",
            "publishers",
            "tensorboards",
            "tuningJobs",
        )
    ),
    "publishers",
)
# What prose calls required and a request may give once for all: WriteLogEntriesRequest's log_name and resource.
_GIVEN_ELSEWHERE = {
    # "Required. Output only.": the server's.
    ("aiplatform.v1", "GoogleCloudAiplatformV1DatasetVersion"): ("metadata",),
    ("aiplatform.v1beta1", "GoogleCloudAiplatformV1beta1DatasetVersion"): ("metadata",),
    # Google's own client creates a dataset of texts without metadata, and an experiment without runs.
    ("aiplatform.v1", "GoogleCloudAiplatformV1Dataset"): ("metadata",),
    ("aiplatform.v1beta1", "GoogleCloudAiplatformV1beta1Dataset"): ("metadata",),
    ("aiplatform.v1beta1", "GoogleCloudAiplatformV1beta1EvaluationExperiment"): ("evaluationRuns",),
    # Nor does it name a candidate for the golden response.
    ("aiplatform.v1", "GoogleCloudAiplatformV1CandidateResponse"): ("candidate",),
    ("aiplatform.v1beta1", "GoogleCloudAiplatformV1beta1CandidateResponse"): ("candidate",),
    ("logging.v2", "LogEntry"): ("logName", "resource"),
}
_STANDARD = (
    *("create", "delete", "get", "list", "patch"),
    *("getIamPolicy", "setIamPolicy", "testIamPermissions"),
)
# document -> prefixes of method ids (without the service's name) whose schemas are kept
SERVED: dict[str, tuple[str, ...]] = {
    "aiplatform.v1": _VERTEX,
    "aiplatform.v1beta1": _VERTEX,
    "storage.v1": (
        *("bucketAccessControls", "buckets", "defaultObjectAccessControls", "folders", "managedFolders"),
        *("notifications", "objectAccessControls", "objects", "projects"),
    ),
    "bigquery.v2": ("datasets", "jobs", "projects", "tabledata", "tables"),
    "iam.v1": ("projects.roles", "projects.serviceAccounts"),
    "iamcredentials.v1": ("projects.serviceAccounts",),
    "cloudresourcemanager.v1": ("projects",),
    "cloudresourcemanager.v3": ("projects",),
    "cloudquotas.v1": ("projects",),
    "artifactregistry.v1": (
        *(f"projects.locations.repositories.{verb}" for verb in _STANDARD),
        *(
            f"projects.locations.repositories.{collection}"
            for collection in ("files", "genericArtifacts", "kfpArtifacts", "packages", "dockerImages")
        ),
    ),
    "billingbudgets.v1": ("billingAccounts",),
    "cloudbilling.v1": ("billingAccounts", "projects"),
    "cloudkms.v1": ("projects.locations.keyRings", "projects.locations.generateRandomBytes"),
    "logging.v2": (
        "entries",
        *(f"projects.{collection}" for collection in ("exclusions", "logs", "metrics", "sinks")),
        "projects.locations.buckets",
    ),
    "monitoring.v1": ("projects.dashboards",),
    "monitoring.v3": (
        *(
            f"projects.{collection}"
            for collection in (
                "alertPolicies",
                "alerts",
                "metricDescriptors",
                "monitoredResourceDescriptors",
                "notificationChannels",
                "timeSeries",
                "uptimeCheckConfigs",
            )
        ),
    ),
    "pubsub.v1": ("projects.snapshots", "projects.subscriptions", "projects.topics"),
    "secretmanager.v1": ("projects.locations.secrets", "projects.secrets"),
    "serviceusage.v1": ("operations", "services"),
    "serviceusage.v1beta1": ("operations", "services"),
}
# document -> package of the client library's protos, and what discovery puts before their messages' names
_PROTOS = {
    "aiplatform.v1": ("google.cloud.aiplatform_v1", "GoogleCloudAiplatformV1"),
    "aiplatform.v1beta1": ("google.cloud.aiplatform_v1beta1", "GoogleCloudAiplatformV1beta1"),
    "artifactregistry.v1": ("google.cloud.artifactregistry_v1", ""),
    "billingbudgets.v1": ("google.cloud.billing.budgets_v1", "GoogleCloudBillingBudgetsV1"),
    "cloudkms.v1": ("google.cloud.kms_v1", ""),
    "logging.v2": ("google.cloud.logging_v2", ""),
    "monitoring.v3": ("google.cloud.monitoring_v3", ""),
    "pubsub.v1": ("google.pubsub_v1", ""),
    "secretmanager.v1": ("google.cloud.secretmanager_v1", ""),
}


def methods_of(node: Json) -> Iterator[Json]:
    """Every method under a discovery ``resources`` node."""
    yield from node.get("methods", {}).values()
    for child in node.get("resources", {}).values():
        yield from methods_of(child)


def prune_schema(schema: Json, numbers: dict[str, int] | None = None) -> Json:
    """The parts of a discovery schema that a check needs; ``numbers`` maps enum names to proto numbers."""
    kept: Json = {
        key: schema[key] for key in ("type", "format", "$ref", "enum", "readOnly", "pattern") if key in schema
    }
    description = schema.get("description", "").lstrip()
    if re.match(r"(\[?Output[ -]only|\[?OutputOnly)", description, re.IGNORECASE):
        kept["readOnly"] = True
    elif description.startswith("Required."):
        kept["required"] = True
    if "enum" in kept and numbers:
        # The client library's protos may lag behind the documents: a name they lack has no number.
        values = [numbers.get(name, -1) for name in kept["enum"]]
        if values != list(range(len(values))):
            kept["enumNumbers"] = values
    if "properties" in schema:
        kept["properties"] = {name: prune_schema(child) for name, child in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if key in schema:
            kept[key] = prune_schema(schema[key], numbers)
    return kept


def references(node: Any) -> Iterator[str]:
    """Names of the schemas that a pruned schema mentions."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for child in node.values():
            yield from references(child)


def enum_numbers(document: str) -> dict[tuple[str, str], dict[str, int]]:
    """(discovery schema name, JSON property) -> {enum name: proto number}, read from the client library."""
    if document not in _PROTOS:
        return {}
    package, prefix = _PROTOS[document]
    types = importlib.import_module(f"{package}.types")
    found: dict[tuple[str, str], dict[str, int]] = {}

    def walk(descriptor: Any, name: str) -> None:
        for field in descriptor.fields:
            if field.enum_type is not None:
                found[name, field.json_name] = {value.name: value.number for value in field.enum_type.values}
        for nested in descriptor.nested_types:
            # Discovery names a nested message after its parent, or alone where that is clear enough.
            walk(nested, name + nested.name)
            if not prefix:
                walk(nested, nested.name)

    for attribute in dir(types):
        message = getattr(types, attribute)
        if hasattr(message, "pb") and hasattr(message, "meta"):
            descriptor = message.pb().DESCRIPTOR
            if descriptor.containing_type is None:
                walk(descriptor, prefix + descriptor.name)
    return found


def prune(document: str, source: Json) -> Json:
    """One discovery document, compact."""
    service = source["name"]
    methods: list[Json] = []
    wanted: set[str] = set()
    for method in methods_of(source):
        path = source.get("servicePath", "") + method.get("flatPath", method["path"])
        kept: Json = {"id": method["id"], "httpMethod": method["httpMethod"], "path": path}
        methods.append(kept)
        short = method["id"].removeprefix(service + ".")
        if not any(short == prefix or short.startswith(prefix + ".") for prefix in SERVED[document]):
            continue
        kept["template"] = source.get("servicePath", "") + method["path"]
        kept["parameters"] = {
            name: {
                key: value
                for key, value in parameter.items()
                if key in ("type", "format", "location", "enum", "repeated", "pattern", "required")
            }
            for name, parameter in method.get("parameters", {}).items()
        }
        for key in ("request", "response"):
            if key in method:
                kept[key] = method[key]["$ref"]
                wanted.add(method[key]["$ref"])
        if "mediaUpload" in method:
            kept["upload"] = method["mediaUpload"]["protocols"]["simple"]["path"].lstrip("/")
        if method.get("supportsMediaDownload"):
            kept["download"] = "download/" + path

    numbers = enum_numbers(document)
    schemas: Json = {}
    while wanted:
        name = wanted.pop()
        schema = source["schemas"][name]
        kept = prune_schema({key: value for key, value in schema.items() if key != "properties"})
        if "properties" in schema:
            kept["properties"] = {
                field: prune_schema(child, numbers.get((name, field)))
                for field, child in schema["properties"].items()
            }
        for field in _GIVEN_ELSEWHERE.get((document, name), ()):
            kept["properties"][field].pop("required")
        schemas[name] = kept
        wanted |= set(references(kept)) - set(schemas)
    return {
        "id": source["id"],
        "revision": source["revision"],
        "methods": sorted(methods, key=lambda method: (method["id"], method["path"])),
        "schemas": dict(sorted(schemas.items())),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="fail if the files in the repository differ")
    options = parser.parse_args()
    cache = importlib.import_module("googleapiclient.discovery_cache")
    folder = Path(str(cache.__file__)).parent / "documents"
    OUTPUT.mkdir(parents=True, exist_ok=True)
    stale = []
    for document in SERVED:
        ours = OURS / f"{document}.json"
        source = json.loads((ours if ours.is_file() else folder / f"{document}.json").read_text())
        text = json.dumps(prune(document, source), separators=(",", ":"), sort_keys=True) + "\n"
        target = OUTPUT / f"{document}.json"
        if options.check:
            if not target.is_file() or target.read_text() != text:
                stale.append(target.name)
            continue
        target.write_text(text)
        print(f"{target.name:32} {len(text) / 1024:7.0f} KiB")
    if stale:
        print(f"differ from google-api-python-client's: {', '.join(stale)}; run: python tools/discovery.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
