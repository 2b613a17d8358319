"""The page on the gcp types of the local stack: `python docs/gcp_resources_page.py > docs/gcp-resources.md`.

It is written from the tables; a test holds the page to this program.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from functools import partial

from tunestack.emulator.gcp_provider.configuration import ENDPOINTS
from tunestack.emulator.gcp_provider.functions import FUNCTIONS
from tunestack.emulator.gcp_provider.lifecycle import Lifecycle
from tunestack.emulator.gcp_provider.resources import TYPES
from tunestack.emulator.gcp_provider.schema import ResourceType

HEAD = """# The gcp types of the local stack

Written by `python docs/gcp_resources_page.py > docs/gcp-resources.md`; a test holds the two together.

On the local stack `pulumi_gcp` programs run against a stand-in for the gcp provider plugin, which makes the same REST
calls as the real one against the emulator: what a program declares really exists there, a second `up` changes nothing,
and what someone changes behind its back is found by `refresh` and shown by property. A type that is not on this page is
refused when it is checked, with the list of those that are.

Names, kinds and nesting are those of the pulumi-gcp package (`tools/gcp_declarations.py`). What it does not tell (which
change makes a new resource, what the server fills in, defaults, addresses) was taken from terraform-provider-google's
beta as of 2026-08 and lies in the tables of `tunestack/emulator/gcp_provider/resources`.

Known differences from the real provider: an update sends the changed fields under its mask where the real one sends
every field beside the same mask; operations are polled without pauses of ten seconds, and nothing is slept for until a
policy or an account is known everywhere; a new service in an audit configuration replaces the resource where the real
one leaves the old configuration behind.
"""


def row(resource: ResourceType) -> str:
    identity = resource.id.replace("{+", "{")
    if isinstance(resource.lifecycle, partial):
        holder = resource.lifecycle.args[0]
        identity = identity.replace(
            resource.id.split(" ")[0].replace("{+", "{"), holder.id.replace("{+", "{")
        )
    replaces = ", ".join(
        f"`{item.name}`" for item in resource.properties if item.replaces and not item.output
    )
    removes = getattr(resource.lifecycle or Lifecycle, "remove", None)
    none = "–" if resource.delete is None and removes is Lifecycle.remove else ""
    refused = ", ".join(f"`{name}`" for name in resource.refused)
    return f"| `{resource.name}` | `{identity}` | {replaces} | {none}{refused} |"


def page() -> str:
    services: defaultdict[str, list[ResourceType]] = defaultdict(list)
    for name in sorted(TYPES):
        services[name.split(":")[1].partition("/")[0]].append(TYPES[name])
    keys = sorted({key for sources in ENDPOINTS.values() for key, _ in sources})
    lines = [HEAD, f"{len(TYPES)} types, {len(FUNCTIONS)} functions.", ""]
    for service, resources in services.items():
        lines += [
            f"## {service}",
            "",
            "| type | imported by | a change makes a new one | not served (– : Google deletes it never) |",
            "|---|---|---|---|",
            *(row(resource) for resource in resources),
            "",
        ]
    lines += ["## Functions", "", ", ".join(f"`{token}`" for token in sorted(FUNCTIONS)) + ".", ""]
    lines += [
        "## Endpoints",
        "",
        "Settings of the provider that must name the emulator, each with a slash at the end; a type whose setting is",
        "absent is refused: " + ", ".join(f"`{key}`" for key in keys) + ".",
        "`tunestack emulator env` prints the variables that mean the same to the real provider.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(page())
