"""Personal data and secrets within a text: what they are and where, told without repeating them.

Built on libraries that are kept: phonenumbers (Google's metadata of every country's numbers), python-stdnum (the
check digits of IBANs, cards, identity numbers and ISBNs), detect-secrets (see credentials.py), ipaddress.
E-mail addresses are found by hand: the libraries for them judge one address, none finds it within a text.

What counts, and what does not:
- e-mail addresses, except those of domains that belong to nobody (RFC 2606 and 6761: example.com, .test …) and
  what only looks like one (`git@host:path`, `image@2x.png`);
- phone numbers that are valid in their country: of any country with `+`; without it those of North America in
  groups, and those of the regions below that begin with 0 and are grouped as usual there. Numbers reserved for
  fiction (555-0100 to 555-0199) do not count;
- IBANs and payment cards whose check digits are right; a card's first digits must be those of an issuer;
- national identity numbers whose shape and check digits leave no doubt (SHAPES below);
- public IP addresses; not those of documentation, private networks and protocols, nor four single digits
  (1.2.3.4 is a version or a section), nor what follows the word version;
- secrets as in credentials.py.

Only ASCII digits are looked at. A number that nothing marks (eleven digits in a row) is not taken for an
identity number: order numbers would be refused by the thousand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module
from typing import NamedTuple

from tunestack.dataset import credentials


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

# The skeleton of a text: what is left without small letters, spaces and most punctuation. Characters that stand
# together in the text stand together in the skeleton, so what the skeleton lacks the text lacks. It is short
# (about 20 characters of 700), and making it is two passes of C: this is what every clean row costs.
_NOT_IN_SKELETON = bytes(set(range(256)) - set(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ@_.:"))
_NOT_A_DIGIT = bytes(set(range(256)) - set(b"0123456789"))
# The shortest thing that is told by its digits alone.
_FEWEST_DIGITS = 7
# A token of 20 random letters and digits keeps 12 of them on average; fewer than 7 in 1 of 170.
_TOKEN = re.compile(rb"[0-9A-Z_]{7}|:_T")
_ADDRESS = re.compile(rb"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]|[23][0-9A-F]*:[0-9A-F:]*:")
_TRIGGER = re.compile(rb"@|" + _TOKEN.pattern + rb"|" + _ADDRESS.pattern)


def search(text: str) -> list[Sighting]:
    """Everything in the text that is personal data or a secret, in order, without overlaps. Never raises.

    Of two readings of the same characters the more certain one counts: a secret, then the order of PERSONAL_DATA.
    """
    skeleton = text.encode("latin-1", "replace").translate(None, _NOT_IN_SKELETON)
    digits = len(skeleton.translate(None, _NOT_A_DIGIT))
    if digits < _FEWEST_DIGITS and _TRIGGER.search(skeleton) is None:
        return []
    found: list[Sighting] = []
    if _TOKEN.search(skeleton) or digits >= _FEWEST_DIGITS:
        if "PRIVATE KEY" in text:
            _keep(found, credentials.private_keys(text), "secret")
        if _may_hold_token(text):
            _keep(found, credentials.tokens(text), "secret")
    if b"@" in skeleton:
        if "://" in text:
            _keep(found, credentials.passwords_in_addresses(text), "secret")
        _keep(found, _email_addresses(text), "personal-data")
    if digits >= _FEWEST_DIGITS and _RUN_OF_DIGITS.search(text):
        _keep(found, _ibans(text), "personal-data")
        _keep(found, _cards(text), "personal-data")
        _keep(found, _identity_numbers(text), "personal-data")
    if _ADDRESS.search(skeleton):
        _keep(found, _ip_addresses(text), "personal-data")
    if digits >= _FEWEST_DIGITS:
        _keep(found, _phone_numbers(text), "personal-data")
    return sorted(found)


def _keep(found: list[Sighting], more: Iterable[tuple[int, int, str]], code: str) -> None:
    """Add what does not overlap what was found before."""
    for start, end, kind in more:
        if all(end <= one.start or one.end <= start for one in found):
            found.append(Sighting(start, end, kind, code))


_LONG_WORD = re.compile(r"[0-9A-Za-z_\-+/=.:]{20}")


def _may_hold_token(text: str) -> bool:
    return _LONG_WORD.search(text) is not None


# --- e-mail and IP addresses ---------------------------------------------------------------------------------

_LOCAL_PART = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._%+'\-]{0,62}[A-Za-z0-9_+\-])?\Z")
_DOMAIN = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,61}[A-Za-z0-9])?\.)+([A-Za-z]{2,24})(?![A-Za-z0-9_])")
_NOBODYS = re.compile(r"(?i)(?:.*\.)?(?:example\.(?:com|net|org)|example|test|invalid|localhost|local)")
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
            if not remote:
                yield local.start(), domain.end(), "email-address"
        at = text.find("@", at + 1)


_IPV4 = re.compile(r"(?<![\w.\-])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w\-]|\.[0-9])", re.ASCII)
_IPV6 = re.compile(r"(?<![\w:.])[23][0-9A-Fa-f]{3}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])", re.ASCII)
_VERSION = re.compile(r"(?i)(?:\bversions?|\brelease|\bbuild|\bv|§|\bsection|\bchapter)[\s.:=]*\Z")


def _ip_addresses(text: str) -> Iterator[tuple[int, int, str]]:
    from ipaddress import ip_address

    for pattern in (_IPV4, _IPV6):
        for match in pattern.finditer(text):
            try:
                address = ip_address(match[0])
            except ValueError:
                continue
            if not address.is_global or address.is_multicast or len(match[0]) == 7:
                continue
            if address.version == 4 and _VERSION.search(text, max(0, match.start() - 12), match.start()):
                continue
            yield *match.span(), "ip-address"


# --- numbers with check digits -------------------------------------------------------------------------------

_RUN_OF_DIGITS = re.compile(
    r"[0-9](?:[ \-.()/]{0,3}[0-9]){6}|[0-9]{2}[A-Z][0-9]{2}[A-Z][0-9]{3}|[A-Z]{4}[0-9]{6}"
)
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?:[ \-]?[A-Z0-9]){11,30}(?![A-Za-z0-9])")
_CARD = re.compile(r"(?<![\w.\-])[2-6][0-9]{3}(?:[ \-]?[0-9]){9,15}(?![\w\-]|\.[0-9])", re.ASCII)
# First digits and lengths: Visa, Mastercard, American Express, Discover, Diners Club, JCB, UnionPay, Maestro
# (ISO/IEC 7812-1; the networks' published ranges).
_ISSUER = re.compile(
    r"4[0-9]{15}(?:[0-9]{3})?|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"
    r"|3[47][0-9]{13}|6(?:011|4[4-9][0-9]|5[0-9]{2})[0-9]{12}|3(?:0[0-5]|[68][0-9])[0-9]{11}"
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12}|62[0-9]{14}(?:[0-9]{3})?"
)
_CARD_GROUPS = re.compile(
    r"[0-9]+|[0-9]{4}([ \-])[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{3})?|[0-9]{4}([ \-])[0-9]{6}\2[0-9]{4,5}"
)


def _ibans(text: str) -> Iterator[tuple[int, int, str]]:
    for match in _IBAN.finditer(text):
        # The pattern may have run on into the words behind: the longest prefix of whole groups that is valid.
        end = match.end()
        while end - match.start() >= 15:
            if _valid("stdnum.iban", text[match.start() : end]):
                yield match.start(), end, "iban"
                break
            end = max(text.rfind(" ", match.start(), end), text.rfind("-", match.start(), end))


def _cards(text: str) -> Iterator[tuple[int, int, str]]:
    for match in _CARD.finditer(text):
        digits = re.sub("[^0-9]", "", match[0])
        if _CARD_GROUPS.fullmatch(match[0]) and _ISSUER.fullmatch(digits) and _valid("stdnum.luhn", digits):
            yield *match.span(), "payment-card"


# Shape (with its marks: these make it unambiguous) and the module that knows the check digits.
SHAPES = (
    (r"[0-9]{3}-[0-9]{2}-[0-9]{4}", "stdnum.us.ssn"),
    (r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}", "stdnum.br.cpf"),
    (r"[0-9]{8}-?[A-Z]", "stdnum.es.dni"),
    (r"[XYZ]-?[0-9]{7}-?[A-Z]", "stdnum.es.nie"),
    (r"[A-Z]{6}[0-9]{2}[A-Z][0-9]{2}[A-Z][0-9]{3}[A-Z]", "stdnum.it.codicefiscale"),
    (r"[12] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}", "stdnum.fr.nir"),
    (r"[0-9]{2}\.[0-9]{2}\.[0-9]{2}-[0-9]{3}[.\-][0-9]{2}", "stdnum.be.nn"),
    (r"(?:[0-9]{2})?[0-9]{6}[+\-][0-9]{4}", "stdnum.se.personnummer"),
    (r"[0-9]{6}[+\-A][0-9]{3}[0-9A-Z]", "stdnum.fi.hetu"),
    (r"[0-9]{17}[0-9X]", "stdnum.cn.ric"),
    (r"[A-Z]{4}[0-9]{6}[HM][A-Z]{5}[0-9A-Z][0-9]", "stdnum.mx.curp"),
)


@cache
def _shapes() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple(
        (re.compile(rf"(?<![\w.\-+])(?:{shape})(?![\w\-]|\.[0-9])", re.ASCII), name) for shape, name in SHAPES
    )


def _identity_numbers(text: str) -> Iterator[tuple[int, int, str]]:
    for pattern, module in _shapes():
        for match in pattern.finditer(text):
            if _valid(module, match[0]):
                yield *match.span(), "national-identity-number"


def _valid(module: str, number: str) -> bool:
    """Whether a module of python-stdnum takes the number."""
    return bool(import_module(module).is_valid(number))


# --- phone numbers -------------------------------------------------------------------------------------------

# Where national numbers are written with a leading 0, and grouped.
_REGIONS_WITH_ZERO = ("GB", "DE", "FR", "NL", "IT", "AU", "JP")
_PHONE = re.compile(r"(?<![\w.])[+(]{0,2}[0-9](?:[ \-.()/]{0,3}[0-9]){6,16}(?!\w)", re.ASCII)
_FICTION = re.compile(r"1?[2-9][0-9]{2}55501[0-9]{2}")


def _phone_numbers(text: str) -> Iterator[tuple[int, int, str]]:
    for match in _PHONE.finditer(text):
        number = match[0]
        digits = re.sub("[^0-9]", "", number)
        if _FICTION.fullmatch(digits) or _valid("stdnum.isbn", digits):
            continue
        if _is_phone_number(number):
            yield *match.span(), "phone-number"


def _is_phone_number(number: str) -> bool:
    from phonenumbers import Leniency, PhoneNumberMatcher

    regions: tuple[str | None, ...]
    if "+" in number:
        regions, leniency = (None,), Leniency.VALID
    elif number.lstrip("(").startswith("0"):
        regions, leniency = _REGIONS_WITH_ZERO, Leniency.STRICT_GROUPING
    else:
        regions, leniency = ("US",), Leniency.STRICT_GROUPING
    if "+" not in number and number.isdigit():
        return False
    return any(
        match.start == 0 and match.end == len(number)
        for region in regions
        for match in PhoneNumberMatcher(number, region, leniency=leniency, max_tries=4)
    )


# --- telling -------------------------------------------------------------------------------------------------


def masked(text: str, sighting: Sighting) -> str:
    """What was seen, recognisable to whoever knows it and useless to others: `AKIA…7Q`.

    Shows at most a quarter of it, and nothing of a password, of which nobody knows how long it is.
    """
    seen = text[sighting.start : sighting.end]
    if len(seen) < 8 or sighting.kind == "password-in-address":
        return "…"
    if sighting.code == "secret" and len(seen) >= 24:
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
    what = PERSONAL_DATA.get(sighting.kind) or f"a secret ({sighting.kind.replace('-', ' ')})"
    return f"the text holds {what}: {masked(text, sighting)}"


def fix(text: str, sighting: Sighting) -> str:
    """What to do about it; of a secret with the digest that allow.yaml wants."""
    if sighting.code == "personal-data":
        return f"take it out or make it up, or allow it in allow.yaml (kind: {sighting.kind}, with a reason)"
    from tunestack.spec.allow_list import digest_of

    digest = digest_of(text[sighting.start : sighting.end])
    return f"revoke it and take it out; if it opens nothing, allow it in allow.yaml (kind: secret, digest: {digest})"
