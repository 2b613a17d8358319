"""gcp.artifactregistry.Repository: https://cloud.google.com/artifact-registry/docs/reference/rest/v1."""

from __future__ import annotations

from tunestack.emulator.gcp_provider.declared import declared
from tunestack.emulator.gcp_provider.policy import PolicyHolder, policy_types
from tunestack.emulator.gcp_provider.resources.names import seconds
from tunestack.emulator.gcp_provider.schema import Call, ResourceType

_REPOSITORIES = "projects/{project}/locations/{location}/repositories"
_REPOSITORY = _REPOSITORIES + "/{repositoryId}"
_ECOSYSTEMS = ("apt", "common", "docker", "maven", "npm", "python", "yum")
REPOSITORY = ResourceType(
    name="gcp:artifactregistry/repository:Repository",
    service="artifactRegistry",
    id=_REPOSITORY,
    imports=("{project}/{location}/{repositoryId}", "{location}/{repositoryId}"),
    create=Call("POST", _REPOSITORIES + "?repository_id={repositoryId}"),
    read=Call("GET", _REPOSITORY),
    update=Call("PATCH", _REPOSITORY),
    delete=Call("DELETE", _REPOSITORY),
    properties=declared(
        "gcp:artifactregistry/repository:Repository",
        address="repositoryId location",
        replaces=f"""format repositoryId location kmsKeyName mode mavenConfig.allowSnapshotOverwrites
            mavenConfig.versionPolicy remoteRepositoryConfig.description remoteRepositoryConfig.noCache
            {" ".join(f"remoteRepositoryConfig.{each}Repository" for each in _ECOSYSTEMS)}""",
        server="location vulnerabilityScanningConfig",
        output="vulnerabilityScanningConfig.enablementState vulnerabilityScanningConfig.enablementStateReason",
        unordered="cleanupPolicies",
        default={
            "cleanupPolicies.condition.tagState": "ANY",
            "mode": "STANDARD_REPOSITORY",
            "mavenConfig.versionPolicy": "VERSION_POLICY_UNSPECIFIED",
        },
        also={
            "format": {"canonical": lambda text: str(text).upper()},
            "cleanupPolicies": {"keyed_by": "id"},
            "cleanupPolicies.condition.newerThan": {"canonical": seconds},
            "cleanupPolicies.condition.olderThan": {"canonical": seconds},
        },
    ),
)
_NAMED = "projects/{project}/locations/{location}/repositories/{repository}"
TYPES = (
    REPOSITORY,
    *policy_types(
        PolicyHolder(
            prefix="gcp:artifactregistry/repositoryIam",
            service="artifactRegistry",
            property="repository",
            id=_NAMED,
            forms=("{project}/{location}/{repository}", "{location}/{repository}", "{repository}"),
            beside="location",
            read=Call("GET", _NAMED + ":getIamPolicy?options.requestedPolicyVersion=3"),
            write=Call("POST", _NAMED + ":setIamPolicy"),
        )
    ),
)
