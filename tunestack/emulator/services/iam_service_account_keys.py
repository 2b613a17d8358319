"""IAM: keys of service accounts (iam.v1). The private half is made here and told once, as at Google."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tunestack.emulator.call import Call, implements
from tunestack.emulator.errors import ApiError, failed_precondition, invalid, not_found
from tunestack.emulator.services.iam import find_account
from tunestack.emulator.services.times import moment

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

Json = dict[str, Any]

KEYS = "serviceAccountKeys"
FOR_EVER = "9999-12-31T23:59:59Z"

_KEYS = "iam.projects.serviceAccounts.keys"
_AT_MOST = 10  # keys of one account that users made (cloud.google.com/iam/quotas)
_BITS = {"KEY_ALG_RSA_1024": 1024, "KEY_ALG_RSA_2048": 2048, "KEY_ALG_UNSPECIFIED": 2048}


def _account(call: Call) -> Json:
    name = call.path["name"].partition("/keys/")[0]
    account = find_account(call.state, name)
    if account is None:
        raise not_found(f"Unknown service account: {name}")
    return account


def _row_name(account: Json, key: str) -> str:
    return f"{KEYS}/{account['email']}/{key}"


def _key(call: Call) -> Json:
    row = call.state.rows.find(_row_name(_account(call), call.path["name"].rpartition("/")[2]))
    if row is None:
        raise not_found(f"Service account key {call.path['name']} does not exist.")
    return row


def _shown(row: Json) -> Json:
    return {key: value for key, value in row.items() if not key.startswith("_")}


def _keep(call: Call, algorithm: str, origin: str, public: str) -> Json:
    account = _account(call)
    if len(call.state.rows.list(KEYS, account["email"])) >= _AT_MOST:
        raise ApiError(
            "FAILED_PRECONDITION", f"A service account has at most {_AT_MOST} keys; delete one first."
        )
    name = f"{call.state.new_id():040x}"
    row = {
        "name": f"{account['name']}/keys/{name}",
        "keyAlgorithm": algorithm,
        "keyOrigin": origin,
        "keyType": "USER_MANAGED",
        "validAfterTime": call.state.now(),
        "validBeforeTime": FOR_EVER,
        "_public": public,
    }
    return call.state.rows.create(KEYS, account["email"], _row_name(account, name), row)


@implements(f"{_KEYS}.create")
def create(call: Call) -> Json:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    algorithm = call.body.get("keyAlgorithm") or "KEY_ALG_RSA_2048"
    kind = call.body.get("privateKeyType") or "TYPE_GOOGLE_CREDENTIALS_FILE"
    private = rsa.generate_private_key(public_exponent=65537, key_size=_BITS[algorithm])
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    row = _keep(call, algorithm, "GOOGLE_PROVIDED", public.decode())
    if kind == "TYPE_PKCS12_FILE":
        data = _pkcs12(private, row["name"])
    else:
        data = json.dumps(_credentials(call, private, row["name"]), indent=2).encode()
    return {
        **_shown(row),
        "privateKeyType": kind,
        "privateKeyData": base64.b64encode(data).decode(),
    }


@implements(f"{_KEYS}.upload")
def upload(call: Call) -> Json:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    try:
        given = base64.b64decode(call.body.get("publicKeyData", ""), validate=True)
        public = x509.load_pem_x509_certificate(given).public_key()
    except ValueError:
        raise invalid("public_key_data must be a PEM certificate with an RSA key, in base64.") from None
    if not isinstance(public, rsa.RSAPublicKey):
        raise invalid("public_key_data must hold an RSA key.")
    text = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()
    return _shown(_keep(call, f"KEY_ALG_RSA_{public.key_size}", "USER_PROVIDED", text))


@implements(f"{_KEYS}.get")
def get(call: Call) -> Json:
    row = _key(call)
    kind = call.query.get("publicKeyType", "TYPE_NONE")
    if kind == "TYPE_NONE":
        return _shown(row)
    public = str(row["_public"]) if kind == "TYPE_RAW_PUBLIC_KEY" else _certificate(row)
    return {**_shown(row), "publicKeyData": base64.b64encode(public.encode()).decode()}


@implements(f"{_KEYS}.list")
def list_keys(call: Call) -> Json:
    kinds = call.query.get("keyTypes") or ["USER_MANAGED", "SYSTEM_MANAGED"]
    rows = call.state.rows.list(KEYS, _account(call)["email"]) if "USER_MANAGED" in kinds else []
    return {"keys": [_shown(row) for row in rows]} if rows else {}


@implements(f"{_KEYS}.delete")
def delete(call: Call) -> Json:
    _key(call)
    call.state.rows.delete(_row_name(_account(call), call.path["name"].rpartition("/")[2]))
    return {}


@implements(f"{_KEYS}.disable")
def disable(call: Call) -> Json:
    _switch(call, disabled=True)
    return {}


@implements(f"{_KEYS}.enable")
def enable(call: Call) -> Json:
    _switch(call, disabled=False)
    return {}


def _switch(call: Call, *, disabled: bool) -> None:
    row = _key(call)
    if bool(row.get("disabled")) == disabled:
        raise failed_precondition(f"The key is {'disabled' if disabled else 'enabled'} already.")
    changed = {key: value for key, value in row.items() if key != "disabled"}
    name = _row_name(_account(call), call.path["name"].rpartition("/")[2])
    call.state.rows.put(name, {**changed, **({"disabled": True} if disabled else {})})


def _credentials(call: Call, private: RSAPrivateKey, name: str) -> Json:
    """The file that Google's libraries read; its bearer asks the emulator for tokens, and nobody else honours it."""
    from cryptography.hazmat.primitives import serialization

    account = _account(call)
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    address = f"{call.incoming.base_url}/token"
    return {
        "type": "service_account",
        "project_id": account["projectId"],
        "private_key_id": name.rpartition("/")[2],
        "private_key": pem,
        "client_email": account["email"],
        "client_id": account["uniqueId"],
        "auth_uri": address,
        "token_uri": address,
        "universe_domain": "googleapis.com",
    }


def _pkcs12(private: RSAPrivateKey, name: str) -> bytes:
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

    # Google's one password for all such files.
    return pkcs12.serialize_key_and_certificates(
        name.rpartition("/")[2].encode(), private, None, None, BestAvailableEncryption(b"notasecret")
    )


def _certificate(row: Json) -> str:
    """An X.509 certificate of the key, signed by one that is made for it: only the key in it is of use.

    Google signs with the account's; nobody checks that signature.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    public: RSAPublicKey = serialization.load_pem_public_key(row["_public"].encode())  # type: ignore[assignment]
    account = row["name"].split("/serviceAccounts/")[1].partition("/")[0]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, account[:64])])
    started = moment(row["validAfterTime"])
    # The same key gives the same certificate at every read, but for the signature's.
    signer = ec.derive_private_key(int(row["name"].rpartition("/")[2], 16) + 1, ec.SECP256R1())
    return (
        x509.CertificateBuilder(subject, subject, public, 1)
        .not_valid_before(started)
        .not_valid_after(datetime(9999, 12, 31, tzinfo=UTC) - timedelta(days=1))
        .sign(signer, hashes.SHA256(), ecdsa_deterministic=True)
        .public_bytes(serialization.Encoding.PEM)
        .decode()
    )
