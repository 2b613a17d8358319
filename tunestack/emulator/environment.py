"""The variables that make any Google client, and the real Pulumi gcp provider, use the emulator."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from tunestack.emulator.options import EmulatorOptions

LOCAL_TOKEN = "local"  # noqa: S105 - no secret: what stacks on loopback send stands for the local credentials
TOKEN_PREFIX = "local-"  # noqa: S105 - no secret: it marks tokens that the emulator itself gave out

# Custom endpoints of the real gcp provider. A trailing slash is mandatory; which ones carry a version follows
# from how each of its clients builds paths (hashicorp/terraform-provider-google).
_CUSTOM_ENDPOINTS = {
    "BIG_QUERY": "bigquery/v2/",
    "ARTIFACT_REGISTRY": "v1/",
    "BILLING": "v1/",
    "BILLING_BUDGETS": "v1/",
    "CLOUD_BILLING": "v1/",
    "CORE_BILLING": "v1/",
    "CLOUD_QUOTAS": "v1/",
    "CLOUD_RESOURCE_MANAGER": "v1/",
    "IAM": "",
    "IAM_BETA": "v1/",
    "IAM_CREDENTIALS": "v1/",
    "KMS": "v1/",
    "LOGGING": "v2/",
    "MONITORING": "",
    "PUBSUB": "v1/",
    "RESOURCE_MANAGER": "v1/",
    "SECRET_MANAGER": "v1/",
    "SERVICE_USAGE": "v1beta1/",
    "STORAGE": "storage/v1/",
    "VERTEX_AI": "v1beta1/",
}


def credentials_path(data: Path, account: str | None = None) -> Path:
    """The key file of the local credentials, or of another ``account``'s."""
    return data / (f"credentials-{account}.json" if account else "credentials.json")


def environment(options: EmulatorOptions, account: str | None = None) -> dict[str, str]:
    """Variables for ``options`` (``port`` must be the real one), for another ``account`` than the local one.

    Application Default Credentials find a service account's key that only the emulator's ``/token`` honours:
    plain Google code runs unchanged, and nothing in it opens a door at Google.
    """
    base = f"http://127.0.0.1:{options.port}"
    return {
        "BIGQUERY_EMULATOR_HOST": base,
        "GOOGLE_APPLICATION_CREDENTIALS": str(credentials_path(options.data, account)),
        "GOOGLE_CLOUD_PROJECT": options.project,
        "GOOGLE_CLOUD_UNIVERSE_DOMAIN": "googleapis.com",
        "GOOGLE_OAUTH_ACCESS_TOKEN": token_of(account) if account else LOCAL_TOKEN,
        "GOOGLE_PROJECT": options.project,
        "GOOGLE_VERTEX_BASE_URL": base,
        # Another account's calls must carry its token, and to an emulator Google's storage clients send none.
        **({"API_ENDPOINT_OVERRIDE": base} if account else {"STORAGE_EMULATOR_HOST": base}),
        **({"PUBSUB_EMULATOR_HOST": f"127.0.0.1:{options.rpc_port}"} if options.rpc_port else {}),
        "TUNESTACK_EMULATOR": base,
        **{f"GOOGLE_{name}_CUSTOM_ENDPOINT": f"{base}/{path}" for name, path in _CUSTOM_ENDPOINTS.items()},
    }


def token_of(account: str) -> str:
    """An access token whose bearer is ``account``, as the emulator's ``/token`` gives for a key."""
    return TOKEN_PREFIX + base64.urlsafe_b64encode(json.dumps({"iss": account}).encode()).decode().rstrip("=")


def write_credentials(options: EmulatorOptions, account: str | None = None) -> Path:
    """A service account's key file (0600) whose token address is the emulator. Kept where it fits already."""
    path = credentials_path(options.data, account)
    token_uri = f"http://127.0.0.1:{options.port}/token"
    try:
        kept = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        kept = {}
    email = account or options.account
    if kept.get("token_uri") == token_uri and kept.get("client_email") == email:
        return path
    body = {
        "type": "service_account",
        "project_id": options.project,
        "private_key_id": "local",
        "private_key": kept.get("private_key") or _new_key(),
        "client_email": email,
        "client_id": "0",
        "auth_uri": token_uri,
        "token_uri": token_uri,
        "universe_domain": "googleapis.com",
    }
    aside = path.with_suffix(".aside")
    aside.touch(mode=0o600)
    aside.write_text(json.dumps(body, indent=2))
    aside.replace(path)
    return path


def _new_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
