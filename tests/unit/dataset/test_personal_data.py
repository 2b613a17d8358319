"""Personal data and secrets are found where they are, and what only looks like them is let be."""

from __future__ import annotations

import base64
import json
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunestack.dataset import credentials
from tunestack.dataset.personal_data import PERSONAL_DATA, excerpt, fix, masked, message, search
from tunestack.spec.allow_list import digest_of

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
    ("phone-number", "Tel.: «+49 30 901820»"),  # whose digits happen to be an ISBN, too
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
        "postgres://ann:«hunter2»@db.corp.io:5432/x",
    ),
]
CLEAN = [
    "51 Franklin Street, Boston, MA 02110-1301, USA; pp. 573-583. 2020; Phys. Rev. E 78, 046110 2008; 19.0.0.0",
    "It is 0.841470984807897, 1234.5678901 or (0.343750000); 02.12345678 seconds, [0.41421356, 0, 0].",
    "OID 2.5.29.35, V8 4.5.103.33, the network 84.17.0.0/16 and 2600:2d00:0:2::/64, doi:10.1137/10081232X.",
    "AWS's own example is AKIAIOSFODNN7EXAMPLE.",
    "postgres://ann:hunter2@localhost:5432/x, https://a:b@corp.io/, s3://{key}:{secret_key}@bucket",
    "https://ann:hunter2@www.example.com/ and redis://:$PASSWORD@cache.corp.io",
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


def planted(text: str) -> str:
    return text.replace("«", "").replace("»", "")


def test_all_of_them_are_found_in_one_text() -> None:
    everything = "\n".join(planted(text) for kind, text in FOUND if "service-account" not in kind)
    kinds = [one.kind for one in search(everything)]
    assert kinds == [kind for kind, _ in FOUND if "service-account" not in kind]


@pytest.mark.parametrize(("kind", "marked"), FOUND, ids=lambda value: value[:30])
def test_what_is_found_is_never_told(kind: str, marked: str) -> None:
    text = planted(marked)
    seen = marked[marked.index("«") + 1 : marked.index("»")]
    sightings = search(text)
    for told in (
        message(text, sightings[0]),
        fix(text, sightings[0]),
        excerpt(text, sightings[0], sightings),
    ):
        # No piece of it that could be searched for or guessed from, of which the mask shows at most four.
        pieces = {seen[at : at + 6] for at in range(4, len(seen) - 5)} or {seen}
        assert not {
            piece for piece in pieces if piece in told.replace(kind, "").replace(kind.replace("-", " "), "")
        }
        assert "\n" not in told


def test_a_mask_shows_the_ends_of_what_is_long_and_nothing_of_a_password() -> None:
    assert masked(AWS, search(AWS)[0]) == "AKIA…3R"
    assert masked(GITHUB, search(GITHUB)[0]) == "ghp_…A2"
    address = "redis://:x@h and ftp://ann:hunter2hunter2hunter2hunter2@corp.io/"
    assert [masked(address, one) for one in search(address) if one.code == "secret"] == ["…"]


def test_a_finding_names_the_maker_and_the_digest_that_would_allow_it() -> None:
    [sighting] = search(GITHUB)
    assert message(GITHUB, sighting) == "the text holds a secret (GitHub token): ghp_…A2"
    assert f"digest: {digest_of(GITHUB)}" in fix(GITHUB, sighting)


def test_an_excerpt_masks_whatever_else_stands_around() -> None:
    text = "From ann.miller@corp.io and +1 650 253 0000: my card is 4111 1111 1111 1111, thanks for asking about it"
    sightings = search(text)
    assert [one.kind for one in sightings] == ["email-address", "phone-number", "payment-card"]
    assert excerpt(text, sightings[1], sightings) == "… a…o and +…0: my card is 4…1…"


# --- for any text --------------------------------------------------------------------------------------------

pieces = st.one_of(
    st.sampled_from([planted(text) for _, text in FOUND] + CLEAN),
    st.text(max_size=30),
    st.text("0123456789 -.()+/:", max_size=30),
    st.text("ABCDEF0123456789abcdef:_@.eyJAKIA-", max_size=60),
    st.sampled_from(["-----BEGIN PRIVATE KEY-----", "://a:b@c.de", "@", "eyJ", "AKIA", "\ud800", "\0"]),
)
texts = st.lists(pieces, max_size=6).map("".join)


@given(texts)
def test_search_never_raises_and_its_spans_lie_in_the_text(text: str) -> None:
    sightings = search(text)
    at = 0
    for one in sightings:
        assert at <= one.start < one.end <= len(text)
        at = one.end
        assert one.kind in (PERSONAL_DATA if one.code == "personal-data" else credentials.KINDS)
        assert message(text, one)
        assert excerpt(text, one, sightings)


@given(
    st.text(st.characters(codec="utf-8"), max_size=60),
    st.sampled_from(FOUND),
    st.text("é 日\nx.", max_size=60),
)
def test_what_stands_around_hides_nothing(before: str, planting: tuple[str, str], after: str) -> None:
    kind, marked = planting
    if kind == "google-service-account-key":
        return
    text = f"{before} \n{planted(marked)} \n{after}"
    start = len(before) + 2 + marked.index("«")
    if any(one.start < start < one.end for one in search(before)):
        return
    assert (start, kind) in {(one.start, one.kind) for one in search(text)}


def random_token(choose: random.Random, shape: str) -> str:
    """A token of a shape such as `ghp_{36}`: so many random letters and digits in the place of the braces."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
    return re.sub(r"\{(\d+)\}", lambda size: "".join(choose.choices(alphabet, k=int(size[1]))), shape)


def test_nearly_every_token_of_random_letters_is_found() -> None:
    choose = random.Random(4)
    shapes = [
        "ghp_{36}",
        "AIza{35}",
        "sk_live_{24}",
        "glpat-{20}",
        "npm: //r/:_authToken=npm_{36}",
        "hf_{34}",
    ]
    shapes += ["SG.{22}.{43}", "GOCSPX-{28}", "sk-{20}T3BlbkFJ{20}"]
    found = sum(
        [one.code for one in search(f"It is {random_token(choose, choose.choice(shapes))}, keep it.")]
        == ["secret"]
        for _ in range(2_000)
    )
    assert found >= 0.995 * 2_000
