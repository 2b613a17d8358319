"""The page on what the emulator answers: `python docs/emulator_coverage_page.py > docs/emulator-coverage.md`.

It is written from the register of handlers and Google's own list of methods; a test holds the page to this program.
"""

from __future__ import annotations

import sys
from collections import defaultdict

from tunestack.emulator.call import HANDLERS
from tunestack.emulator.documents import load
from tunestack.emulator.services import register_services

NAMES = {
    "aiplatform": "Vertex AI",
    "artifactregistry": "Artifact Registry",
    "bigquery": "BigQuery",
    "billingbudgets": "Cloud Billing Budgets",
    "cloudbilling": "Cloud Billing",
    "cloudkms": "Cloud KMS",
    "cloudquotas": "Cloud Quotas",
    "cloudresourcemanager": "Resource Manager",
    "iam": "IAM",
    "iamcredentials": "IAM Service Account Credentials",
    "logging": "Cloud Logging",
    "monitoring": "Cloud Monitoring",
    "pubsub": "Pub/Sub",
    "secretmanager": "Secret Manager",
    "serviceusage": "Service Usage",
    "storage": "Cloud Storage",
}
HEAD = """# What the emulator answers

Written by `python docs/emulator_coverage_page.py > docs/emulator-coverage.md`; a test holds the two together. A running
emulator says the same of itself: `curl -s 127.0.0.1:8571/_local/coverage`.

*Known* are the methods of Google's published discovery documents, in the versions served here; *implemented* are those
that do what they say. A known method that is not implemented answers 501 UNIMPLEMENTED with its id, an address that is
no method's 404. Methods are counted once, whatever versions have them. Reads of long-running operations are counted
apart: one table answers them all, and Google's documents repeat them under every resource.
"""


def is_operation(method_id: str) -> bool:
    return ".operations." in method_id


def by_resource(method_ids: list[str]) -> list[str]:
    """``projects.locations.models: copy, get, …``, one entry a resource."""
    verbs: defaultdict[str, list[str]] = defaultdict(list)
    for method_id in method_ids:
        resource, _, verb = method_id.partition(".")[2].rpartition(".")
        verbs[resource].append(verb)
    return [
        f"{resource}: {', '.join(found)}" if resource else ", ".join(found)
        for resource, found in verbs.items()
    ]


def page() -> str:
    register_services()
    documents = load()
    methods: defaultdict[str, list[str]] = defaultdict(list)
    for method_id in sorted(documents.methods):
        methods[method_id.partition(".")[0]].append(method_id)
    versions: defaultdict[str, list[str]] = defaultdict(list)
    for document in sorted(documents.schemas):
        service, _, version = document.partition(".")
        versions[service].append(f"{version} ({documents.revisions[document]})")
    lines = [HEAD]
    lines += [
        "| service | implemented | known | operations | documents (revision) |",
        "|---|---|---|---|---|",
    ]
    details = []
    for service in sorted(methods, key=lambda name: NAMES[name]):
        known = [method_id for method_id in methods[service] if not is_operation(method_id)]
        implemented = [method_id for method_id in known if method_id in HANDLERS]
        missing = [method_id for method_id in known if method_id not in HANDLERS]
        reads = [method_id for method_id in methods[service] if is_operation(method_id)]
        answered = sum(method_id in HANDLERS for method_id in reads)
        lines.append(
            f"| [{NAMES[service]}](#{anchor(service)}) | {len(implemented)} | {len(known)} | "
            f"{f'{answered} of {len(reads)}' if reads else ''} | {', '.join(versions[service])} |"
        )
        details += ["", f"## {NAMES[service]}", "", f"Method ids start with `{service}.`.", ""]
        details += [f"Implemented: {len(implemented)} of {len(known)}.", ""]
        details += [f"- `{entry}`" for entry in by_resource(implemented)]
        if missing:
            details += ["", "<details><summary>Answered with 501: " + str(len(missing)) + "</summary>", ""]
            details += [f"- `{entry}`" for entry in by_resource(missing)]
            details += ["", "</details>"]
    return "\n".join([*lines, *details]) + "\n"


def anchor(service: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return NAMES[service].lower().replace(" ", "-").replace("/", "")


if __name__ == "__main__":
    sys.stdout.write(page())
