"""Personal data and secrets are found where they are, and what only looks like them is let be."""

from __future__ import annotations

import base64
import json

import pytest

from tunestack.dataset.personal_data import PERSONAL_DATA, search

# Put together here, so that no scanner takes this file for a leak.
AWS = "AKIA" + "Z7Q2MXN4PLV5TK3R"
GITHUB = "ghp_" + "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY1zA2"
FINE_GRAINED = (
    "github_pat_" + "11ABCDEFG0aB3dE5fG7hJ9_" + "kL1mN2pQ4rS6tU8vW0xY1zA2kL1mN2pQ4rS6tU8vW0xY1zA2kL1mN2pQ4rS"
)
GOOGLE = "AIza" + "SyD3x4mpl3K3yN0tR3al_9fGhJkLmNoPqRs"
SLACK = "xoxb" + "-123456789012-1234567890123-AbCdEfGhIjKlMnOpQrStUvWx"
STRIPE = "sk_" + "live_4eC39HqLyjWDarjtT1zdp7dc"
JWT = ".".join(
    base64.urlsafe_b64encode(part).rstrip(b"=").decode()
    for part in (
        b'{"alg":"HS256","typ":"JWT"}',
        b'{"sub":"1234567890","name":"Ann"}',
        b"0123456789abcdef0123456789abcdef",
    )
)
BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
PEM = f"-----BEGIN PRIVATE KEY-----\n{BODY}\n{BODY}\n-----END PRIVATE KEY-----"
SERVICE_ACCOUNT = json.dumps({"type": "service_account", "project_id": "p", "private_key": PEM + "\n"})

# A text in which the part between « and » is the one sighting.
FOUND = [
    ("email-address", "Write to «ann.miller@corp.io», please."),
    ("email-address", "Write to «Ann_Miller+news@mail.corp.co.uk»."),
    ("email-address", "邮箱«zhang@qq.com»谢谢"),
    ("email-address", "<«o'neil@uni-bonn.de»>"),
    ("phone-number", "call me at «+1 650 253 0000» tonight"),
    ("phone-number", "call «(650) 253-0000» tonight"),
    ("phone-number", "call «650-253-0000»."),
    ("phone-number", "Tel.: «+49 30 303986300»"),
    ("phone-number", "Tel. «030 303986300», Berlin"),
    ("phone-number", "ring «020 7031 3000» now"),
    ("phone-number", "ring «+44 (0)20 7031 3000» now"),
    ("phone-number", "appelez le «01 42 68 53 00» !"),
    ("phone-number", "WhatsApp «+5511912345678»"),
    ("iban", "to «DE89 3704 0044 0532 0130 00» by Friday"),
    ("iban", "to «GB29NWBK60161331926819»."),
    ("iban", "IBAN «FR14 2004 1010 0505 0001 3M02 606» BIC"),
    ("payment-card", "my card «4111 1111 1111 1111» was charged"),
    ("payment-card", "my card «5555555555554444» was charged"),
    ("payment-card", "amex «3782 822463 10005»"),
    ("national-identity-number", "SSN «536-90-4399» on file"),
    ("national-identity-number", "CPF «390.533.447-05»"),
    ("national-identity-number", "DNI «54362315K»"),
    ("national-identity-number", "codice fiscale «RCCMNL83S18D969H»"),
    ("national-identity-number", "NIR «2 95 10 99 126 111 93»"),
    ("national-identity-number", "身份证«11010519491231002X»"),
    ("ip-address", "from «84.17.55.140» at night"),
    ("ip-address", "from «84.17.55.140»."),
    ("ip-address", "from «2a00:1450:4001:81b::200e» at night"),
    ("aws-key", f"key=«{AWS}»"),
    ("aws-key", "aws_secret_access_key = '«" + "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzK3yAbCd9E" + "»'"),
    ("github-token", f"git clone with «{GITHUB}»"),
    ("github-token", f"git clone with «{FINE_GRAINED}»"),
    ("google-api-key", f"?key=«{GOOGLE}»&q=1"),
    ("slack-token", f"token «{SLACK}»"),
    ("stripe-key", f"token «{STRIPE}»"),
    ("json-web-token", f"Authorization: Bearer «{JWT}»"),
    ("private-key", f"here: «{PEM}» ok"),
    (
        "google-service-account-key",
        SERVICE_ACCOUNT.replace("-----BEGIN", "«-----BEGIN").replace(
            "END PRIVATE KEY-----", "END PRIVATE KEY-----»"
        ),
    ),
    (
        "password-in-address",
        "postgres://ann:«hunter2»@db.corp.io:5432/x".replace("@db", "@localhost, not db"),
    ),
]
CLEAN = [
    "In 2019 we paid $3,000, in 2020-2021 it was 4.500,00 EUR, and 1,234,567.89 in all.",
    "On 2023-11-05 10:30:15, on 05/11/2023, on 11.05.2023 and at 2023-11-05T10:30:15.123456Z.",
    "ISBN 978-0-306-40615-7 and ISBN 0-306-40615-2; ISSN 2049-3630.",
    "Upgrade to version 10.0.19041.1, or v3.11.7.12; see section 1.2.3.4 and OID 1.3.6.1.4.1.311.",
    "Order 4539578763621485, order #20231105-0001234, invoice INV-2023-000123, ticket 1234567890.",
    "Parcel 1Z999AA10123456784, EAN 4006381333931, timestamp 1699999999999, pi is 3.14159265358979.",
    "Write to ann@example.com, root@localhost, me@mail.example or a@b.test.",
    "git clone git@github.com:corp/code.git and load image@2x.png; @ann said so; a @ b.",
    "Ping 127.0.0.1, 10.0.0.1, 192.168.1.254, 192.0.2.44, 203.0.113.7, ::1, fe80::1, 2001:db8::1, 255.255.255.255.",
    "At 12:30:45 it was 3:2 and then 2:3:4; std::string and a::b.",
    "Call 650-555-0123 in the film, or 555-0199.",
    "THE TERMS AND CONDITIONS APPLY TO EVERYONE IN ASIAPACIFICREGIONALTEAMS AND MAX_BLOCK_BYTES.",
    "commit 9fceb02d0ae598e95dc970b74767f19372d61af8",
    "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "uuid 123e4567-e89b-12d3-a456-426614174000, <div id='section-12-34-56-78'>, color #aabbcc",
    "A PEM file begins with -----BEGIN PRIVATE KEY----- and ends with -----END PRIVATE KEY-----.",
    "https://user:password@host/ and https://<user>:<token>@host/ and http://host:8080/path?x=1@2",
    "The password is hidden; my secret: nobody knows. api_key = os.environ['API_KEY']",
    "Population 7 900 000 000, 123 456 789 012, 0.000 000 001; 1 000 000 to 2 000 000.",
    "Score 3-2-1-0-5-6-7-8, seats 12-14 15-17 18-20, pages 100-110, 200-220 and 1999-2001.",
    "Ср, 5 ноября: 日本語 ３月, emoji 👩‍👩‍👧 and a\ud800lone surrogate.",
]


@pytest.mark.parametrize(("kind", "marked"), FOUND, ids=lambda value: value[:30])
def test_what_is_planted_is_found_at_its_place(kind: str, marked: str) -> None:
    start, end = marked.index("«"), marked.index("»") - 1
    text = marked.replace("«", "").replace("»", "")
    code = "personal-data" if kind in PERSONAL_DATA else "secret"
    assert [tuple(one) for one in search(text)] == [(start, end, kind, code)]


@pytest.mark.parametrize("text", CLEAN, ids=lambda value: value[:30])
def test_what_only_looks_like_it_is_let_be(text: str) -> None:
    assert [(one.kind, text[one.start : one.end]) for one in search(text)] == []
