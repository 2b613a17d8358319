"""A refusal is told once: the program recognises the engine's words for it."""

from tunestack.engine.errors import EngineRefused
from tunestack.engine.runner import REFUSAL


def test_the_program_knows_the_engines_refusal_by_its_words() -> None:
    assert REFUSAL in str(EngineRefused("stack references"))
