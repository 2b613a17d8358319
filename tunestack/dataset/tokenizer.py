"""A tokenizer file: `tokenizer.json` of the tokenizers library, or SentencePiece's `.model`.

Both libraries come with the extra `tunestack[tokens]` and are imported where a file is opened.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from tunestack.spec.errors import Problem, TunestackError

# How much a normalisation that is not known to keep the text can lengthen it in UTF-8: NFKC's worst case,
# https://www.unicode.org/faq/normalization.html#12
_MOST_GROWTH = 11
_GROWS_MOST = "\ufdfa"
_Counter = Callable[[Sequence[str]], list[int]]


class TokenizerFile(msgspec.Struct, frozen=True):
    """A tokenizer that counts; picklable, each process opens the file for itself.

    ``digest``: BLAKE3 of the file, 64 hexadecimal digits. ``tokens_per_byte``: a text of n bytes of UTF-8 has at
    most this times n tokens.
    """

    path: str
    digest: str
    tokens_per_byte: int

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text alone, without the control tokens around it."""
        return _loaded(self.path)[0](texts)


def open_tokenizer(path: Path, where: str = "") -> TokenizerFile:
    """Open a tokenizer file; ``where`` is the place that names it.

    Raises TunestackError where it cannot be read, is no tokenizer, or the extra is not installed.
    """
    from blake3 import blake3

    where = where or str(path)
    try:
        digest = blake3(path.read_bytes()).hexdigest()
        return TokenizerFile(str(path), digest, _loaded(str(path))[1])
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        problem = Problem("tokenizer", f"{path.name} cannot be read: {reason}", where, fix="write its name")
    except ImportError as error:
        message = f"{path.name} needs the package {error.name}"
        problem = Problem("tokenizer", message, where, fix="pip install 'tunestack[tokens]'")
    except ValueError as error:
        need = "a tokenizer.json, or a SentencePiece .model"
        problem = Problem("tokenizer", f"{path.name} is no tokenizer: {error}", where, need=need)
    raise TunestackError(problem)


@cache
def _loaded(path: str) -> tuple[_Counter, int]:
    """What counts, and how many tokens a byte can become. Raises OSError, ImportError, ValueError."""
    content = Path(path).read_bytes()
    if path.endswith(".json"):
        return _tokenizers(content)
    if path.endswith(".model"):
        return _sentencepiece(content)
    raise ValueError("its name ends neither in .json nor in .model")


def _tokenizers(content: bytes) -> tuple[_Counter, int]:
    # The blocks of a file are already spread over processes; threads beside them would only be in their way.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_buffer(content)
        normalizer = json.loads(content).get("normalizer")
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(str(error).splitlines()[0]) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()

    def counts(texts: Sequence[str]) -> list[int]:
        return [len(each) for each in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    steps = (normalizer or {}).get("normalizers", [normalizer] if normalizer else [])
    return counts, 1 if all(map(_keeps_length, steps)) else _MOST_GROWTH


def _keeps_length(step: dict[str, Any]) -> bool:
    """Whether a normalisation makes no more signs of a text: those of the space sign, which is in the vocabulary."""
    if step["type"] == "Replace":
        return len(step["content"]) <= len(step["pattern"].get("String", ""))
    return step["type"] == "Prepend" and len(step["prepend"]) == 1


def _sentencepiece(content: bytes) -> tuple[_Counter, int]:
    import sentencepiece

    try:
        processor = sentencepiece.SentencePieceProcessor(model_proto=content)
        known = processor.get_piece_size() if content else 0
    except Exception:  # the library raises nothing narrower, and speaks of its own sources
        known = 0
    if not known:
        raise ValueError("not a SentencePiece model")

    def counts(texts: Sequence[str]) -> list[int]:
        encoded: Any = processor.encode(list(texts), out_type=int)
        return [len(each) for each in encoded]

    kept = _GROWS_MOST in processor.normalize(_GROWS_MOST)
    return counts, 1 if kept else _MOST_GROWTH
