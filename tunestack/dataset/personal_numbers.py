"""Numbers that belong to a person: IBANs, payment cards, identity numbers, phone numbers.

Check digits are python-stdnum's to judge and phone numbers phonenumbers' (Google's metadata of every country).
Both are only asked about places that look like it, for asking takes 10 to 300 µs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module

# Seven digits with little between them; or the two identity numbers that have more letters than digits.
_DIGITS = re.compile(r"[0-9](?:[ \-.()/]{0,3}[0-9]){6,}")
_LETTERED = re.compile(r"[A-Z]{4}(?:[A-Z]{2}[0-9]{2}[A-Z][0-9]{2}|[0-9]{6})")
_LETTERED_SKELETON = re.compile(rb"AAAA(?:AA00A00|000000)")
# An IBAN's letters stand up to so many characters before its seven digits in a row, or after them.
_AROUND = 44

_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?:[ \-]?[A-Z0-9]){11,30}(?![A-Za-z0-9])")
_CARD = re.compile(r"(?<![\w.\-])[2-6][0-9]{3}(?:[ \-]?[0-9]){9,15}(?![\w\-]|\.[0-9])", re.ASCII)
# First digits and lengths of Visa, Mastercard, American Express, Discover, Diners Club, JCB and UnionPay
# (ISO/IEC 7812-1; the ranges that the networks publish).
_ISSUER = re.compile(
    r"4[0-9]{15}(?:[0-9]{3})?|(?:5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}"
    r"|3[47][0-9]{13}|6(?:011|4[4-9][0-9]|5[0-9]{2})[0-9]{12}|3(?:0[0-5]|[68][0-9])[0-9]{11}"
    r"|35(?:2[89]|[3-8][0-9])[0-9]{12}|62[0-9]{14}(?:[0-9]{3})?"
)
_CARD_GROUPS = re.compile(
    r"[0-9]+|[0-9]{4}([ \-])[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{3})?|[0-9]{4}([ \-])[0-9]{6}\2[0-9]{4,5}"
)

# Shapes (with the marks that make them unambiguous) and the modules of stdnum that know the check digits.
SHAPES = (
    (r"[0-9]{3}-[0-9]{2}-[0-9]{4}", "us.ssn"),
    (r"[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}", "br.cpf"),
    (r"[0-9]{8}-?[A-Z]", "es.dni"),
    (r"[XYZ]-?[0-9]{7}-?[A-Z]", "es.nie"),
    (r"[A-Z]{6}[0-9]{2}[A-Z][0-9]{2}[A-Z][0-9]{3}[A-Z]", "it.codicefiscale"),
    (r"[12] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}", "fr.nir"),
    (r"[0-9]{2}\.[0-9]{2}\.[0-9]{2}-[0-9]{3}[.\-][0-9]{2}", "be.nn"),
    (r"(?:[0-9]{2})?[0-9]{6}[+\-][0-9]{4}", "se.personnummer"),
    (r"[0-9]{6}[+\-A][0-9]{3}[0-9A-Z]", "fi.hetu"),
    (r"[0-9]{17}[0-9X]", "cn.ric"),
    (r"[A-Z]{4}[0-9]{6}[HM][A-Z]{5}[0-9A-Z][0-9]", "mx.curp"),
)

# Countries where national numbers are written with a leading 0.
_REGIONS_WITH_ZERO = ("GB", "DE", "FR", "NL", "IT", "AU", "JP")
_PHONE = re.compile(r"(?<![\w.])[+(]{0,2}[0-9](?:[ \-.()/]{0,3}[0-9]){6,16}(?!\w)", re.ASCII)
# 555-0100 to 555-0199, which nobody has (North American Numbering Plan, reserved for fiction).
_FICTION = re.compile(r"1?[2-9][0-9]{2}55501[0-9]{2}")
# Not a national number: a decimal, a single 0 apart, an American postal code (ZIP+4), what a sentence ends within,
# pages or a volume and a year.
_NO_PHONE = re.compile(
    r"\(?[0-9]*\.[0-9]*\Z|\(?0[ \-.)]|[0-9]{5}-[0-9]{4}\Z|.*[0-9]\. |[0-9\-]+ (?:19|20)[0-9]{2}\Z"
)
_NO_DIGIT = re.compile("[^0-9]")

Found = tuple[int, int, str]


def places(text: str, skeleton: bytes, together: bool) -> list[tuple[int, int]]:
    """The parts of the text where a number may stand, in order, apart from each other.

    ``skeleton``: see personal_data; ``together``: whether the text may have seven digits with little between them.
    """
    spans = [match.span() for match in _DIGITS.finditer(text)] if together else []
    if _LETTERED_SKELETON.search(skeleton):
        spans = sorted([*spans, *(match.span() for match in _LETTERED.finditer(text))])
    parts: list[tuple[int, int]] = []
    for start, end in spans:
        if parts and start - _AROUND <= parts[-1][1]:
            parts[-1] = (parts[-1][0], max(parts[-1][1], end + _AROUND))
        else:
            parts.append((max(0, start - _AROUND), end + _AROUND))
    return parts


def with_check_digits(text: str, parts: list[tuple[int, int]]) -> Iterator[Found]:
    """Start, end and kind of each IBAN, payment card and identity number in these parts, the surest kind first."""
    for part in parts:
        yield from _ibans(text, *part)
    for part in parts:
        yield from _cards(text, *part)
    for part in parts:
        yield from _identity_numbers(text, *part)


def _ibans(text: str, part: int, part_end: int) -> Iterator[Found]:
    for match in _IBAN.finditer(text, part, part_end):
        # The pattern may have run on into the words behind: the longest beginning of whole groups that is valid.
        start, end = match.span()
        while end - start >= 15:
            if _valid("iban", text[start:end]):
                yield start, end, "iban"
                break
            end = max(text.rfind(" ", start, end), text.rfind("-", start, end))


def _cards(text: str, part: int, part_end: int) -> Iterator[Found]:
    for match in _CARD.finditer(text, part, part_end):
        digits = _NO_DIGIT.sub("", match[0])
        if _ISSUER.fullmatch(digits) and _CARD_GROUPS.fullmatch(match[0]) and _valid("luhn", digits):
            yield *match.span(), "payment-card"


@cache
def _shapes() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple(
        (re.compile(rf"(?<![\w.\-+/])(?:{shape})(?![\w\-]|\.[0-9])", re.ASCII), module)
        for shape, module in SHAPES
    )


def _identity_numbers(text: str, part: int, part_end: int) -> Iterator[Found]:
    for pattern, module in _shapes():
        for match in pattern.finditer(text, part, part_end):
            if _valid(module, match[0]):
                yield *match.span(), "national-identity-number"


def _valid(module: str, number: str) -> bool:
    """Whether a module of python-stdnum takes the number."""
    return _validator(module)(number)


@cache
def _validator(module: str) -> Callable[[str], bool]:
    validator: Callable[[str], bool] = import_module(f"stdnum.{module}").is_valid
    return validator


def phone_numbers(text: str, parts: list[tuple[int, int]]) -> Iterator[Found]:
    """Start, end and kind of each phone number in these parts of the text."""
    for part, part_end in parts:
        for match in _PHONE.finditer(text, part, part_end):
            if _is_phone_number(match[0]):
                yield *match.span(), "phone-number"


def _is_phone_number(number: str) -> bool:
    digits = _NO_DIGIT.sub("", number)
    regions: tuple[str | None, ...]
    if "+" in number:
        regions, exact = (None,), False
    elif len(digits) == len(number) or _NO_PHONE.match(number):
        return False
    elif digits[0] == "0":
        regions, exact = _REGIONS_WITH_ZERO, True
    elif len(digits) == 10 or (len(digits) == 11 and digits[0] == "1"):
        regions, exact = ("US",), True
    else:
        return False
    if _FICTION.fullmatch(digits) or ("+" not in number and _valid("isbn", digits)):
        return False
    from phonenumbers import Leniency, NumberParseException, PhoneNumberMatcher, is_valid_number, parse

    leniency = Leniency.STRICT_GROUPING if exact else Leniency.VALID
    for region in regions:
        try:
            if not is_valid_number(parse(number, region)):
                continue
        except NumberParseException:
            continue
        # The matcher knows dates, prices and the usual groups; asked last, for it takes ten times as long.
        for match in PhoneNumberMatcher(number, region, leniency=leniency, max_tries=4):
            if match.start == 0 and match.end == len(number):
                return True
    return False
