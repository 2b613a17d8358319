"""What a person probably meant, and how an error says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def nearest(word: str, allowed: Iterable[str]) -> str | None:
    """The allowed word that ``word`` was probably meant to be, or None where nothing comes near."""
    import difflib  # only where something was misspelt

    by_folded = {candidate.casefold().replace("-", "_"): candidate for candidate in allowed}
    folded = difflib.get_close_matches(word.casefold().replace("-", "_"), by_folded, n=1, cutoff=0.6)
    return by_folded[folded[0]] if folded else None


def listed(words: Sequence[str]) -> str:
    """The allowed words as a need: `one of a, b`."""
    return "one of " + ", ".join(words) if len(words) > 1 else "".join(words)


def write(word: str | None) -> str:
    """The fix that names the word to write, or nothing where there is none."""
    return f"write `{word}`" if word else ""
