"""The one way a prompt becomes tokens, for training and for serving alike.

The base model's own chat template is used. Prompt and reply are tokenised apart, so that the tokens a model is
trained to continue from are exactly those it is given when it serves. Bases made by `base_model` carry their
template without the default system prompt (21 tokens a row that say nothing about the task).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hf_trainer.errors import TrainerError


class PromptFormat:
    """Chat format of one base model. `stop`: the token that ends a reply."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        if tokenizer.eos_token_id is None:
            raise TrainerError(
                "the base model's tokenizer has no end-of-sequence token; replies could not end"
            )
        self.stop: int = tokenizer.eos_token_id

    @classmethod
    def load(cls, base_model: Path) -> PromptFormat:
        from transformers import AutoTokenizer

        return cls(AutoTokenizer.from_pretrained(str(base_model), local_files_only=True))

    def prompt(self, text: str) -> list[int]:
        """The tokens the model replies to."""
        if self.tokenizer.chat_template is None:
            return self._tokens(text + "\n")
        messages = [{"role": "user", "content": text}]
        rendered = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return self._tokens(rendered)

    def reply(self, text: str) -> list[int]:
        """The tokens of a reply, with the one that ends it."""
        return [*self._tokens(text), self.stop]

    def text(self, tokens: list[int]) -> str:
        """A reply's text without special tokens."""
        return str(self.tokenizer.decode(tokens, skip_special_tokens=True)).strip()

    def _tokens(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])
