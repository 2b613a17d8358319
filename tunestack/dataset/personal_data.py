"""Personal data and secrets within a text: what they are and where, told without repeating them.

Built on libraries that are kept: phonenumbers (Google's metadata of every country's numbers), python-stdnum (the
check digits of IBANs, cards, identity numbers and ISBNs), detect-secrets (see credentials.py), ipaddress.
E-mail addresses are found by hand: the libraries for them judge one address, none finds it within a text.

What counts, and what does not:
- e-mail addresses, except those of domains that belong to nobody (RFC 2606 and 6761: example.com, .test …) and
  what only looks like one (`git@host:path`, `https://user@host`, `image@2x.png`);
- phone numbers that are valid in their country: of any country with `+`; without it those of North America in
  groups, and those of personal_numbers' regions that begin with 0 and are grouped as usual there. Numbers
  reserved for fiction (555-0100 to 555-0199) do not count;
- IBANs and payment cards whose check digits are right; a card's first digits must be those of an issuer;
- national identity numbers whose shape and check digits leave no doubt (personal_numbers.SHAPES);
- public IP addresses; not networks (84.17.0.0, 84.17.3.0/24), those of documentation, private networks and
  protocols, nor what begins with two single digits (1.2.3.4 and 4.5.103.33 are versions or sections, 2.5.29.35
  an object identifier), nor what follows the word version;
- secrets as in credentials.py.

Only ASCII digits are looked at. A number that nothing marks (eleven digits in a row) is not taken for an
identity number: order numbers would be refused by the thousand.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import NamedTuple


class Sighting(NamedTuple):
    """Characters [start, end) of a text are personal data or a secret; ``code`` is that of the finding."""

    start: int
    end: int
    kind: str
    code: str


# Every kind of personal data in words; the kinds of secrets are in credentials.KINDS.
PERSONAL_DATA = {
    "email-address": "an e-mail address",
    "iban": "an IBAN",
    "payment-card": "a payment card's number",
    "national-identity-number": "a national identity number",
    "ip-address": "a public IP address",
    "phone-number": "a phone number",
}

# --- what is looked at first ---------------------------------------------------------------------------------

# The skeleton of a text: small letters, spaces and most punctuation left out, every digit a 0, every capital
# (and the underscore, which tokens have) an A. Characters that stand together in the text stand together in its
# skeleton, so what the skeleton lacks the text lacks. It is short (20 to 30 characters of 700), and making it is
# one pass of C: this is what a clean row costs.
_DIGITS = b"0123456789"
_CAPITALS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ_"
_TO_SKELETON = bytes.maketrans(_DIGITS + _CAPITALS, b"0" * len(_DIGITS) + b"A" * len(_CAPITALS))
_NOT_IN_SKELETON = bytes(set(range(256)) - {*_DIGITS, *_CAPITALS, *b".:"})
# The shortest thing that is told by its digits alone, and the shortest IP address.
_FEWEST_DIGITS = 7
_FEWEST_DIGITS_OF_ADDRESS = 3
# A token of 20 random letters and digits keeps 12 of them on average; fewer than 7 in 1 of 170.
_TOKEN = b"AAAAAAA"
_ADDRESS = re.compile(rb"0\.0{1,3}\.0{1,3}\.0|0[0A]{0,3}:[0A:]{0,30}:")
# The second looks: for a token at runs of the characters that tokens are made of; for a number without what may
# stand between its digits.
_RUNS = bytes(
    ord("A") if chr(each).isascii() and (chr(each).isalnum() or each in b"_-+/=") else 32
    for each in range(256)
)
_LONG_RUN = b"A" * 20
_BETWEEN_DIGITS = b" -.()/"


def search(text: str) -> list[Sighting]:
    """Everything in the text that is personal data or a secret, in order, without overlaps. Never raises.

    Of two readings of the same characters the more certain one counts: a secret, then the order of PERSONAL_DATA.
    """
    # Measured: `find` of bytes takes a third of the time of their `in`.
    plain = text.encode("latin-1", "replace")
    skeleton = plain.translate(_TO_SKELETON, _NOT_IN_SKELETON)
    digits = skeleton.count(b"0")
    at = "@" in text
    run = (skeleton.replace(b"0", b"A") if digits else skeleton).find(_TOKEN) >= 0
    if not run and not at and digits < _FEWEST_DIGITS_OF_ADDRESS:
        return []
    return _search(text, plain, skeleton, digits, at, run)


def _search(text: str, plain: bytes, skeleton: bytes, digits: int, at: bool, run: bool) -> list[Sighting]:
    found: list[Sighting] = []
    if run and (runs := plain.translate(_RUNS)).find(_LONG_RUN) >= 0:
        credentials = _module("credentials")
        if "PRIVATE KEY" in text:
            _keep(found, credentials.private_keys(text), "secret")
        _keep(found, credentials.tokens(text, _long_runs(runs)), "secret")
    if at:
        if "://" in text:
            _keep(found, _module("credentials").passwords_in_addresses(text), "secret")
        _keep(found, _email_addresses(text), "personal-data")
    parts: list[tuple[int, int]] = []
    if digits >= _FEWEST_DIGITS:
        together = plain.translate(_TO_SKELETON, _BETWEEN_DIGITS).find(b"0000000") >= 0
        numbers = _module("personal_numbers")
        if parts := numbers.places(text, skeleton, together):
            _keep(found, numbers.with_check_digits(text, parts), "personal-data")
    if digits >= _FEWEST_DIGITS_OF_ADDRESS and _ADDRESS.search(skeleton):
        _keep(found, _ip_addresses(text), "personal-data")
    if parts:
        _keep(found, numbers.phone_numbers(text, parts), "personal-data")
    return found


@cache
def _module(name: str) -> ModuleType:
    """A module of this package, imported when the first text needs it."""
    return import_module(f"tunestack.dataset.{name}")


def _long_runs(runs: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of each run that is long enough for a token."""
    at = runs.find(_LONG_RUN)
    while at >= 0:
        start, end = runs.rfind(b" ", 0, at) + 1, runs.find(b" ", at)
        yield start, end if end >= 0 else len(runs)
        at = runs.find(_LONG_RUN, end) if end >= 0 else -1


def _keep(found: list[Sighting], more: Iterable[tuple[int, int, str]], code: str) -> None:
    """Add, in its place, what does not overlap what was found before."""
    for start, end, kind in more:
        at = bisect_left(found, (start,))
        if (at == 0 or found[at - 1].end <= start) and (at == len(found) or end <= found[at].start):
            found.insert(at, Sighting(start, end, kind, code))


# --- e-mail and IP addresses ---------------------------------------------------------------------------------

_LOCAL_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._%+'\-]{0,62}[A-Za-z0-9_+\-])?\Z")
_DOMAIN = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.)+([A-Za-z]{2,24})(?![A-Za-z0-9_])")
_NOBODYS = re.compile(r"(?i)(?:.*\.)?(?:example\.(?:com|net|org)|example|test|invalid|localhost|local)")
_USER_OF_ADDRESS = re.compile(r"://[^\s/@]*\Z")
_FILE_NAMES = frozenset(
    {
        "png",
        "jpg",
        "jpeg",
        "gif",
        "svg",
        "webp",
        "css",
        "js",
        "ts",
        "html",
        "json",
        "yaml",
        "yml",
        "txt",
        "csv",
        "pdf",
    }
)


def _email_addresses(text: str) -> Iterator[tuple[int, int, str]]:
    at = text.find("@")
    while at >= 0:
        local = _LOCAL_PART.search(text, max(0, at - 64), at)
        domain = _DOMAIN.match(text, at + 1)
        if local and domain and domain[1].lower() not in _FILE_NAMES and not _NOBODYS.fullmatch(domain[0]):
            remote = local[0] == "git" and text[domain.end() : domain.end() + 1] in (":", "/")
            if not remote and not _USER_OF_ADDRESS.search(text, max(0, local.start() - 80), local.start()):
                yield local.start(), domain.end(), "email-address"
        at = text.find("@", at + 1)


# The look behind comes after the first character: so the search goes from digit to digit.
_IPV4 = re.compile(r"[0-9](?<![\w.\-].)[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?![\w\-]|\.[0-9]|/[0-9])", re.ASCII)
_IPV6 = re.compile(r"[23](?<![\w:.].)[0-9A-Fa-f]{3}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:]|/[0-9])", re.ASCII)
_VERSION = re.compile(r"(?i)(?:\bversions?|\brelease|\bbuild|\bv|§|\bsection|\bchapter)[\s.:=]*\Z")


def _ip_addresses(text: str) -> Iterator[tuple[int, int, str]]:
    from ipaddress import ip_address

    patterns = (_IPV4, _IPV6) if "::" in text or text.count(":") >= 7 else (_IPV4,)
    for pattern in patterns:
        for match in pattern.finditer(text):
            try:
                address = ip_address(match[0])
            except ValueError:
                continue
            if not address.is_global or address.is_multicast:
                continue
            if address.version == 4 and (
                match[0][1] == match[0][3] == "."
                or match[0].endswith(".0")
                or _VERSION.search(text, max(0, match.start() - 12), match.start())
            ):
                continue
            yield *match.span(), "ip-address"


# --- telling -------------------------------------------------------------------------------------------------


def masked(text: str, sighting: Sighting) -> str:
    """What was seen, recognisable to whoever knows it and useless to others: `AKIA…7Q`.

    Shows at most a third of it, and nothing of a password, of which nobody knows how long it is.
    """
    seen = text[sighting.start : sighting.end]
    if len(seen) < 8 or sighting.kind == "password-in-address":
        return "…"
    if sighting.code == "secret" and len(seen) >= 20:
        return f"{seen[:4]}…{seen[-2:]}"
    return f"{seen[0]}…{seen[-1]}"


def excerpt(text: str, sighting: Sighting, sightings: Iterable[Sighting], around: int = 24) -> str:
    """The text around a sighting on one line, with everything that was seen in it masked."""
    start, end = max(0, sighting.start - around), min(len(text), sighting.end + around)
    pieces, at = ["…" if start else ""], start
    for one in sorted(sightings):
        if one.end > start and one.start < end:
            pieces += [text[at : one.start], masked(text, one)]
            at = max(at, one.end)
    pieces += [text[at:end], "…" if end < len(text) else ""]
    return " ".join("".join(pieces).split())


def message(text: str, sighting: Sighting) -> str:
    """What was found, in words, masked."""
    what = PERSONAL_DATA.get(sighting.kind) or f"a secret ({_module('credentials').in_words(sighting.kind)})"
    return f"the text holds {what}: {masked(text, sighting)}"


def fix(text: str, sighting: Sighting) -> str:
    """What to do about it; of a secret with the digest that allow.yaml wants."""
    if sighting.code == "personal-data":
        return f"take it out or make it up, or allow it in allow.yaml (kind: {sighting.kind}, with a reason)"
    from tunestack.spec.allow_list import digest_of

    digest = digest_of(text[sighting.start : sighting.end])
    return f"revoke it and take it out; if it opens nothing, allow it in allow.yaml (kind: secret, digest: {digest})"
