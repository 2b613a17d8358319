"""Gemini's ``contents`` and the open models' ``messages``, as the one prompt that the local base model takes.

A model of one turn plays one of many: earlier turns are written into the prompt, each behind its speaker.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

Json = dict[str, Any]
Turn = tuple[str, str]  # (user | model, text)

_SPEAKERS = {"user": "User", "model": "Model"}


class Unplayed(ValueError):
    """A conversation that is wrong, or holds what the local base model cannot take."""


def prompt_of(system: str, turns: list[Turn]) -> str:
    """The prompt for a reply to the last of ``turns``; one turn alone stands as it is."""
    parts = [turns[0][1]] if len(turns) == 1 else [f"{_SPEAKERS[speaker]}: {text}" for speaker, text in turns]
    return "\n\n".join([system, *parts] if system else parts)


def turns_of_contents(body: Json) -> tuple[str, list[Turn]]:
    """System instruction and turns of a body with ``contents``. Raises `Unplayed`."""
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        raise Unplayed("contents is missing or empty")
    instruction = body.get("systemInstruction") or body.get("system_instruction") or {}
    if body.get("tools"):
        raise Unplayed("tools are not played by the emulator")
    system = _text("systemInstruction", instruction) if instruction else ""
    turns: list[Turn] = []
    for index, content in enumerate(contents):
        where = f"contents[{index}]"
        role = content.get("role", "user") if isinstance(content, dict) else None
        if role not in _SPEAKERS:
            raise Unplayed(f"{where}.role is {role!r}; it is user or model")
        turns.append((role, _text(where, content)))
    return system, turns


def turns_of_messages(body: Json) -> tuple[str, list[Turn]]:
    """The same of a body with ``messages``. Raises `Unplayed`."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Unplayed("messages is missing or empty")
    system: list[str] = []
    turns: list[Turn] = []
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        role = message.get("role") if isinstance(message, dict) else None
        text = message.get("content") if isinstance(message, dict) else None
        if not isinstance(text, str) or not text.strip():
            raise Unplayed(f"{where}.content is not a string with something in it")
        if role == "system":
            system.append(text)
        elif role in ("user", "assistant"):
            turns.append(("user" if role == "user" else "model", text))
        else:
            raise Unplayed(f"{where}.role is {role!r}; it is system, user or assistant")
    return "\n\n".join(system), turns


def tuning_rows(uri: str, content: bytes) -> tuple[list[Json], list[str]]:
    """Rows of the trainer's, ``{"input_text", "output_text"}``, and every bad row as ``gs://…:line: what``.

    The last turn, the model's, is what is learnt.
    """
    rows: list[Json] = []
    problems: list[str] = []
    for number, line in _lines(content):
        try:
            row = orjson.loads(line)
            if not isinstance(row, dict):
                raise Unplayed("not a JSON object")
            system, turns = (turns_of_messages if "messages" in row else turns_of_contents)(row)
            if len(turns) < 2 or turns[-1][0] != "model" or turns[-2][0] != "user":
                raise Unplayed("the last two turns must be a user's and the model's")
            rows.append({"input_text": prompt_of(system, turns[:-1]), "output_text": turns[-1][1]})
        except orjson.JSONDecodeError as error:
            problems.append(f"{uri}:{number}: not JSON: {error}")
        except Unplayed as error:
            problems.append(f"{uri}:{number}: {error}")
    if not rows and not problems:
        problems.append(f"{uri}: the file has no rows")
    return rows, problems


def _lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    lines = content.split(b"\n")
    if not lines[-1].strip():
        lines.pop()
    yield from enumerate(lines, start=1)


def _text(where: str, content: Any) -> str:
    parts = content.get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list) or not parts:
        raise Unplayed(f"{where}.parts is missing or empty")
    texts = []
    for index, part in enumerate(parts):
        text = part.get("text") if isinstance(part, dict) else None
        if not isinstance(text, str):
            kinds = sorted(part) if isinstance(part, dict) else part
            raise Unplayed(f"{where}.parts[{index}] has {kinds}; the emulator plays text alone")
        texts.append(text)
    joined = "".join(texts)
    if not joined.strip():
        raise Unplayed(f"{where} has no text")
    return joined
