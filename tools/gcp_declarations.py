"""Write down what pulumi-gcp declares of the resource types and functions that the stand-in serves.

The source is the installed Python package, which Pulumi generates from the provider's schema: names on the wire,
kinds, nesting, what is required, what is output only, what is secret. What it does not tell (which change makes a
new resource, what the server fills in, defaults) lies in the tables of ``gcp_provider/resources``. Written down and
not read at run time, for importing the package's modules takes longer than the plugin may take to start.

    python tools/gcp_declarations.py
"""

from __future__ import annotations

import collections.abc
import importlib
import inspect
import json
import re
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pulumi import Archive, Asset
from pulumi._types import input_type_py_to_pulumi_names, input_type_types, output_type_types

TARGET = Path(__file__).parent.parent / "tunestack" / "emulator" / "gcp_provider" / "declarations.json"
#: The types, by the package's module.
CLASSES = {
    "artifactregistry": "Repository RepositoryIamBinding RepositoryIamMember RepositoryIamPolicy",
    "bigquery": "Dataset DatasetIamBinding DatasetIamMember DatasetIamPolicy Table",
    "billing": "Budget",
    "cloudquota": "SQuotaPreference",
    "kms": "CryptoKey CryptoKeyIAMBinding CryptoKeyIAMMember CryptoKeyIAMPolicy CryptoKeyVersion KeyRing "
    "KeyRingIAMBinding KeyRingIAMMember KeyRingIAMPolicy",
    "logging": "Metric ProjectBucketConfig ProjectExclusion ProjectSink",
    "monitoring": "AlertPolicy Dashboard MetricDescriptor NotificationChannel",
    "projects": "IAMAuditConfig IAMBinding IAMCustomRole IAMMember IAMPolicy Service ServiceIdentity",
    "pubsub": "Subscription SubscriptionIAMBinding SubscriptionIAMMember SubscriptionIAMPolicy Topic "
    "TopicIAMBinding TopicIAMMember TopicIAMPolicy",
    "secretmanager": "Secret SecretIamBinding SecretIamMember SecretIamPolicy SecretVersion",
    "serviceaccount": "Account IAMBinding IAMMember IAMPolicy Key",
    "serviceusage": "ConsumerQuotaOverride",
    "storage": "Bucket BucketIAMBinding BucketIAMMember BucketIAMPolicy BucketObject Notification",
    "vertex": "AiDataset AiEndpoint AiEndpointIamBinding AiEndpointIamMember AiEndpointIamPolicy AiMetadataStore "
    "AiTensorboard AiTensorboardExperiment AiTensorboardRun",
}
#: The functions (data sources), by the module's file.
FUNCTIONS = {
    "artifactregistry": "get_repository",
    "bigquery": "get_dataset get_table",
    "cloudquota": "get_s_quota_info get_s_quota_infos",
    "kms": "get_kms_crypto_key get_kms_key_ring",
    "organizations": "get_client_config get_iam_policy get_project",
    "pubsub": "get_subscription get_topic",
    "secretmanager": "get_secret get_secret_version get_secret_version_access",
    "serviceaccount": "get_account",
    "storage": "get_bucket get_bucket_object get_bucket_object_content get_project_service_account",
}
_KINDS = {str: "text", bool: "boolean", int: "integer", float: "number"}


def functions() -> dict[str, Any]:
    """By function token: the shape of the answer."""
    found: dict[str, Any] = {}
    for module, names in FUNCTIONS.items():
        for name in names.split():
            home = importlib.import_module(f"pulumi_gcp.{module}.{name}")
            source = inspect.getsource(home)
            token = re.search(r"runtime\.invoke\('(gcp:[^']+)'", source)
            result = re.search(r"typ=(\w+)\)", source)
            if token is None or result is None:
                raise LookupError(f"{module}.{name} names no function token")
            found[token[1]] = _answer(getattr(home, result[1]))
    return found


def _answer(cls: type) -> dict[str, Any]:
    return {wire: _shape(annotation, _answer) for wire, annotation in sorted(output_type_types(cls).items())}


def resources() -> dict[str, Any]:
    """By type token: ``inputs`` and ``outputs`` as :func:`_shape` says, and the names that are always secret."""
    found: dict[str, Any] = {}
    for module, names in CLASSES.items():
        package = importlib.import_module(f"pulumi_gcp.{module}")
        for name in names.split():
            cls = getattr(package, name)
            home = inspect.getmodule(cls)
            inputs = _fields(getattr(home, f"{name}Args"))
            state = _fields(getattr(home, f"_{name}State"))
            given = {key.removesuffix("!") for key in inputs}
            source = inspect.getsource(cls)
            secret = re.search(r"additional_secret_outputs=\[([^]]*)\]", source)
            token = re.search(r"'(gcp:[^']+)',\n\s+resource_name", source)
            if token is None:
                raise LookupError(f"{module}.{name} names no type token")
            found[token[1]] = {
                "inputs": inputs,
                "outputs": {key: shape for key, shape in state.items() if key not in given},
                "secret": sorted(re.findall(r'"(\w+)"', secret[1])) if secret else [],
            }
    return found


def _fields(cls: type) -> dict[str, Any]:
    """Shapes by name on the wire; a name that must be given ends in ``!``."""
    parameters = inspect.signature(cls.__init__).parameters
    names = input_type_py_to_pulumi_names(cls)
    required = {wire for name, wire in names.items() if parameters[name].default is inspect.Parameter.empty}
    return {
        f"{wire}!" if wire in required else wire: _shape(annotation)
        for wire, annotation in sorted(input_type_types(cls).items())
    }


def _shape(annotation: Any, fields: Callable[[type], dict[str, Any]] = _fields) -> Any:
    """A word for a scalar, ``map``, or the shape itself: an object of shapes, a list with the shape of its items."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Union:
        if {Asset, Archive} & set(arguments):
            return "asset"
        return _shape(arguments[0], fields)
    if origin in (collections.abc.Sequence, list):
        return [_shape(arguments[0], fields)]
    if origin in (collections.abc.Mapping, dict):
        return "map"
    if annotation in _KINDS:
        return _KINDS[annotation]
    return fields(annotation)


def text() -> str:
    """The file's content: one property a line at most, so that a change of the package is seen in the diff."""
    return json.dumps({"functions": functions(), "resources": resources()}, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    TARGET.write_text(text())
    print(f"{TARGET.name}: {TARGET.stat().st_size // 1024} KiB")
