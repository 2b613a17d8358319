"""Gemini's `contents`: turns of parts, of which only text is taken here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import UNSET, UnsetType

from tunestack.dataset.formats.conversation import out_of_turn, turn_violation
from tunestack.dataset.formats.format import Text, Turn, Violation, says_nothing

_ONLY_TEXT = "only parts with text are"
UNSUPPORTED_PARTS = dict.fromkeys(
    (
        "fileData",
        "file_data",
        "inlineData",
        "inline_data",
        "functionCall",
        "function_call",
        "functionResponse",
        "function_response",
        "executableCode",
        "codeExecutionResult",
        "videoMetadata",
        "thought",
        "thoughtSignature",
    ),
    _ONLY_TEXT,
)
UNSUPPORTED_FIELDS = dict.fromkeys(
    (
        "tools",
        "toolConfig",
        "tool_config",
        "generationConfig",
        "generation_config",
        "safetySettings",
        "safety_settings",
        "cachedContent",
    ),
    "rows have instruction and turns alone",
)


class Part(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A piece of a turn."""

    unsupported: ClassVar[Mapping[str, str]] = UNSUPPORTED_PARTS

    text: Text


Parts = Annotated[list[Part], msgspec.Meta(min_length=1)]


class Content(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """One turn."""

    role: Annotated[Literal["user", "model"], msgspec.Meta(extra={"code": "unknown-role"})]
    parts: Parts


Contents = Annotated[list[Content], msgspec.Meta(min_length=1)]


class Instruction(msgspec.Struct, forbid_unknown_fields=True, gc=False, kw_only=True):
    """The system instruction. Google's own examples give it a role, which the service ignores."""

    unsupported: ClassVar[Mapping[str, str]] = UNSUPPORTED_PARTS

    role: Literal["system", "user"] | UnsetType = UNSET
    parts: Parts


def contents_of(turns: Iterable[Turn]) -> list[Content]:
    """The turns as contents of one part each."""
    return [Content("user" if role == "user" else "model", [Part(text)]) for role, text in turns]


def instruction_of(context: str | None) -> Instruction | UnsetType:
    """The context as the system instruction."""
    return UNSET if context is None else Instruction(parts=[Part(context)])


def text_of(parts: Sequence[Part]) -> str:
    """The text of a turn: its parts one after the other."""
    return parts[0].text if len(parts) == 1 else "".join([part.text for part in parts])


def plain(parts: Sequence[Part]) -> bool:
    """Whether these are a single part that says something."""
    return len(parts) == 1 and parts[0].text != "" and not parts[0].text.isspace()


def turns_of(contents: Iterable[Content]) -> list[tuple[str, str]]:
    """The contents as roles (user, assistant) with their texts, for the canonical form."""
    return [
        ("user" if content.role == "user" else "assistant", text_of(content.parts)) for content in contents
    ]


def context_of(instruction: Instruction | UnsetType) -> str | None:
    """The system instruction's text, None where there is none."""
    return None if instruction is UNSET else text_of(instruction.parts)


def size_of(contents: Iterable[Content], instruction: Instruction | UnsetType) -> int:
    """Characters of the contents and of the system instruction."""
    size = sum([len(part.text) for content in contents for part in content.parts])
    return size if instruction is UNSET else size + sum([len(part.text) for part in instruction.parts])


def instruction_violations(instruction: Instruction | UnsetType, path: str) -> Iterator[Violation]:
    """Parts of the system instruction that say nothing."""
    if instruction is not UNSET:
        yield from parts_violations(instruction.parts, path)


def contents_violations(contents: Sequence[Content], last: str) -> Iterator[Violation]:
    """Texts that say nothing and turns out of turn; ``last`` is who has the last word."""
    roles = [content.role for content in contents]
    texts = [part.text for content in contents for part in content.parts]
    wrong = out_of_turn(roles, "model", last)
    if not wrong and "" not in texts and not any(map(str.isspace, texts)):
        return
    for number in wrong:
        yield turn_violation(roles, number, f"$.contents[{number}].role", last)
    for number, content in enumerate(contents):
        for part in content.parts:
            if not part.text or part.text.isspace():
                yield from parts_violations(content.parts, f"$.contents[{number}]")
                break


def parts_violations(parts: Sequence[Part], path: str) -> Iterator[Violation]:
    """Parts that say nothing."""
    for number, part in enumerate(parts):
        if not part.text or part.text.isspace():
            yield says_nothing(f"{path}.parts[{number}].text", part.text)
