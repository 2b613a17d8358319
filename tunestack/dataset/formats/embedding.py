"""Tuning of text embeddings: queries and a corpus as `{"_id", "text", "title"?}` lines, and labels between them.

The labels are a table `query-id corpus-id score` (tab-separated); score says how well the text answers the query,
from 0 up, and is 1 where it is left out.
docs.cloud.google.com/vertex-ai/generative-ai/docs/models/tune-embeddings
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Annotated, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from tunestack.dataset.findings import quoted
from tunestack.dataset.formats.format import (
    Example,
    Facts,
    Format,
    Text,
    Violation,
    canonical,
    says_nothing,
)
from tunestack.spec.suggestion import nearest


class Line(msgspec.Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    """A query, or a text of the corpus."""

    id: Text = msgspec.field(name="_id")
    text: Text
    title: str | UnsetType = UNSET


class Label(msgspec.Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    """That a text of the corpus answers a query, and how well."""

    query_id: Text = msgspec.field(name="query-id")
    corpus_id: Text = msgspec.field(name="corpus-id")
    score: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | UnsetType = UNSET


class Embedding:
    """A text with its id."""

    name = "embedding"
    line = Line
    completion = False
    texts: Mapping[str, str] = {"$.text": "text"}

    def build(self, example: Example) -> Line:
        """Embedding sets are checked where they lie and are not compiled from examples."""
        raise NotImplementedError("no template makes a line of an embedding set")

    def facts(self, lines: Sequence[Line]) -> Facts:
        """The text, with its title where it has one."""
        prompts = [canonical([line.title, line.text]) if line.title else line.text for line in lines]
        return Facts(prompts, [""] * len(lines), [])

    def lengths(self, lines: Sequence[Line], facts: Facts) -> dict[str, list[int]]:
        """Of the text."""
        return {"text": [len(line.text) for line in lines]}

    def violations(self, line: Line) -> Iterable[Violation]:
        """Texts and ids that say nothing."""
        texts = {"$._id": line.id, "$.text": line.text}
        return [says_nothing(path, text) for path, text in texts.items() if not text or text.isspace()]


class EmbeddingLabels:
    """A row of the labels, as JSON."""

    name = "embedding-labels"
    line = Label
    completion = False
    texts: Mapping[str, str] = {}

    def build(self, example: Example) -> Label:
        """As for embedding."""
        raise NotImplementedError("no template makes a row of labels")

    def facts(self, lines: Sequence[Label]) -> Facts:
        """The pair of ids with the score."""
        return Facts(
            [canonical([line.query_id, line.corpus_id]) for line in lines],
            ["1" if line.score is UNSET else str(line.score) for line in lines],
            [],
        )

    def lengths(self, lines: Sequence[Label], facts: Facts) -> dict[str, list[int]]:
        """None."""
        return {}

    def violations(self, line: Label) -> Iterable[Violation]:
        """Ids that say nothing."""
        texts = {'$["query-id"]': line.query_id, '$["corpus-id"]': line.corpus_id}
        return [says_nothing(path, text) for path, text in texts.items() if not text or text.isspace()]


class Placed(NamedTuple):
    """A violation that only a look at other rows shows, and the index of its row."""

    row: int
    violation: Violation


def doubled_ids(ids: Iterable[str], lines: Sequence[int]) -> Iterator[Placed]:
    """Ids that stood before in their file; ``lines`` are the lines of the rows, for the message."""
    first: dict[str, int] = {}
    for row, each in enumerate(ids):
        if (before := first.setdefault(each, row)) != row:
            message = f"the id {quoted(each)} stands in line {lines[before]} already"
            yield Placed(row, Violation("$._id", "duplicate-id", message, "give the row an id of its own"))


def unknown_ids(
    labels: Iterable[Label], queries: Collection[str], corpus: Collection[str]
) -> Iterator[Placed]:
    """Labels that name a query or a text that is not there; ``queries`` and ``corpus`` are sets of ids."""
    for row, label in enumerate(labels):
        for name, each, known, kind in (
            ("query-id", label.query_id, queries, "query"),
            ("corpus-id", label.corpus_id, corpus, "text of the corpus"),
        ):
            if each not in known:
                # Among very many ids the nearest would take long to find.
                meant = nearest(each, known) if len(known) <= 10_000 else None
                fix = f"write `{meant}`" if meant else f"add the {kind}, or delete the row"
                message = f"there is no {kind} {quoted(each)}"
                yield Placed(row, Violation(f'$["{name}"]', "unknown-id", message, fix))


FORMATS: dict[str, Format] = {"embedding": Embedding(), "embedding-labels": EmbeddingLabels()}
