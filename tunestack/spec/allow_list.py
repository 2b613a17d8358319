"""`allow.yaml`, committed beside `dataset.yaml`: personal data and secrets that a dataset may hold, and why.

    allow:
      - kind: email-address
        text: help@tunestack.dev
        reason: our own public address, part of every reply
      - kind: phone-number
        pattern: '\\+49 30 555[0-9 ]*'
        reason: made up for the examples
      - kind: secret
        digest: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
        reason: revoked on 2026-03-01

A secret is named only by the digest of its UTF-8 bytes (a finding tells it), so that the file that excuses it
does not spread it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from tunestack.spec.document import load_document, misfit, place_of

ALLOW_FILE = "allow.yaml"

# What `personal_data.search` calls its kinds; every other kind it has is a secret.
Kind = Literal[
    "email-address",
    "phone-number",
    "iban",
    "payment-card",
    "national-identity-number",
    "ip-address",
    "secret",
]
PERSONAL_DATA = frozenset(get_args(Kind)) - {"secret"}


def _with_words(text: str) -> str:
    if not text.strip():
        raise misfit("a reason is for whoever reads this next year", need="a text that says something")
    return text


def _compiles(pattern: str) -> str:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise misfit(f"`pattern` is no regular expression: {error}", need="Python's `re` syntax") from None
    if compiled.fullmatch("") or all(map(compiled.fullmatch, ("any@thing.at", "+1 23", "::1"))):
        raise misfit("`pattern` allows everything", need="a pattern of what is meant")
    return pattern


class Allowed(BaseModel):
    """One thing that may stand in the dataset."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind = Field(description="what it is, as the finding calls it; `secret` for any secret")
    text: str | None = Field(None, min_length=1, description="the text itself, as it stands in the dataset")
    pattern: Annotated[str, AfterValidator(_compiles)] | None = Field(
        None, description="a regular expression that matches the whole of it"
    )
    digest: Annotated[str, Field(pattern="sha256:[0-9a-f]{64}")] | None = Field(
        None, description="of a secret: sha256: and 64 hexadecimal digits"
    )
    reason: Annotated[str, AfterValidator(_with_words)] = Field(description="why it may stand there")

    @model_validator(mode="after")
    def _names_one_thing(self) -> Allowed:
        given = [name for name in ("text", "pattern", "digest") if getattr(self, name) is not None]
        if self.kind == "secret" and given != ["digest"]:
            # Told at the entry as a whole: at its text, the report would repeat that.
            raise misfit(
                "a secret is never written down",
                need="digest: sha256:…",
                fix="write the digest that the finding tells",
            )
        if self.kind != "secret" and given not in (["text"], ["pattern"]):
            raise misfit(
                f"`{self.kind}` is named by a text or by a pattern",
                given[-1] if given else "kind",
                need="one of text, pattern",
            )
        return self


class AllowListDocument(BaseModel):
    """The whole of `allow.yaml`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    allow: tuple[Allowed, ...] = Field(description="a list of {kind, text | pattern | digest, reason}")

    @model_validator(mode="after")
    def _stands_once(self) -> AllowListDocument:
        seen: dict[tuple[str | None, ...], int] = {}
        for number, entry in enumerate(self.allow):
            identity = (
                entry.kind,
                entry.text and comparable(entry.kind, entry.text),
                entry.pattern,
                entry.digest,
            )
            if identity in seen:
                raise misfit("the same thing is allowed twice", "allow", number, fix="delete one of them")
            seen[identity] = number
        return self


@dataclass(frozen=True)
class AllowList:
    """What may stand in a dataset. Picklable; asking is a look-up, and a match for each pattern of the kind.

    Entries are known by their place in the list, from 0: what a block has allowed is a set of numbers, and the
    union over all blocks says which entries are unused.
    """

    texts: dict[tuple[str, str], int]
    patterns: tuple[tuple[str, re.Pattern[str], int], ...]
    digests: dict[str, int]

    @classmethod
    def of(cls, entries: Collection[Allowed]) -> AllowList:
        """The list of these entries."""
        numbered = list(enumerate(entries))
        return cls(
            {(one.kind, comparable(one.kind, one.text)): at for at, one in numbered if one.text is not None},
            tuple((one.kind, re.compile(one.pattern), at) for at, one in numbered if one.pattern is not None),
            {one.digest: at for at, one in numbered if one.digest is not None},
        )

    def entry(self, kind: str, text: str) -> int | None:
        """The number of the entry that allows this text of this kind (a kind of `personal_data.search`), if any."""
        if kind not in PERSONAL_DATA:
            return self.digests.get(digest_of(text)) if self.digests else None
        if (at := self.texts.get((kind, comparable(kind, text)))) is not None:
            return at
        for its_kind, pattern, at in self.patterns:
            if its_kind == kind and pattern.fullmatch(text):
                return at
        return None

    def allows(self, kind: str, text: str) -> bool:
        """Whether an entry allows this text of this kind."""
        return self.entry(kind, text) is not None

    def unused(self, used: Collection[int]) -> list[int]:
        """The entries that allow nothing any more, given those that did: stale excuses, to be deleted."""
        return sorted(
            {*self.texts.values(), *(at for _, _, at in self.patterns), *self.digests.values()} - set(used)
        )


def load_allow_list(path: Path) -> AllowList:
    """Read `allow.yaml`. Raises TunestackError with every problem and its place."""
    return AllowList.of(load_document(path, AllowListDocument).allow)


def place_of_entry(path: Path, number: int) -> str:
    """`file:line:column` of an entry."""
    return place_of(path, ("allow", number))


def digest_of(secret: str) -> str:
    """What a secret is allowed by: sha256 of its UTF-8 bytes (`printf %s SECRET | sha256sum`)."""
    return "sha256:" + hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def comparable(kind: str, text: str) -> str:
    """The form that texts of a kind are compared in: the way a number is grouped says nothing, nor does case."""
    folded = text.casefold()
    if kind in ("email-address", "ip-address"):
        return folded
    return "".join(filter(str.isalnum, folded))
