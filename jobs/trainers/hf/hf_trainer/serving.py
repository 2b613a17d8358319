"""The server: JSON lines in, JSON lines out, until the input ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TextIO

from hf_trainer.errors import TrainerError, explain

LARGEST_BATCH = 32  # prompts decoded at a time; bounds the memory of their keys and values


class Server:
    """Answers prompts with a base model or one of its adapters."""

    def __init__(self, base_model: Path, threads: int) -> None:
        import torch

        from hf_trainer.adapters import AdaptedModel
        from hf_trainer.prompt import PromptFormat

        torch.set_num_threads(threads)
        self._format = PromptFormat.load(base_model)
        self._adapted = AdaptedModel(base_model)

    def answer(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        """The outputs of one request, in the order of its prompts."""
        import torch

        from hf_trainer.generation import generate

        prompts, adapter = request.get("prompts"), request.get("adapter")
        longest = request.get("max_output_tokens", 64)
        temperature = request.get("temperature", 0.0)
        if not isinstance(prompts, list) or not all(isinstance(prompt, str) for prompt in prompts):
            raise TrainerError("prompts: need a list of strings")
        if not isinstance(longest, int) or longest < 1:
            raise TrainerError(f"max_output_tokens: have {longest}, need an integer from 1")
        if not isinstance(temperature, int | float) or temperature < 0:
            raise TrainerError(f"temperature: have {temperature}, need a number from 0")
        model = self._adapted.wear(adapter)
        tokens = [self._format.prompt(prompt) for prompt in prompts]
        self._check_length(tokens, longest, model.config)
        random = torch.Generator(device=model.device).manual_seed(int(request.get("seed", 0)))
        outputs: dict[int, dict[str, Any]] = {}
        # Prompts of like length together: little padding.
        order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
        for start in range(0, len(order), LARGEST_BATCH):
            chunk = order[start : start + LARGEST_BATCH]
            replies = generate(
                model,
                [tokens[i] for i in chunk],
                self._format.stop,
                longest,
                float(temperature),
                random=random,
            )
            for i, reply in zip(chunk, replies, strict=True):
                outputs[i] = {
                    "text": self._format.text(reply.tokens),
                    "input_tokens": len(tokens[i]),
                    "output_tokens": reply.count,
                }
        return [outputs[i] for i in range(len(tokens))]

    @staticmethod
    def _check_length(tokens: list[list[int]], longest: int, config: Any) -> None:
        context = config.get_text_config().max_position_embeddings
        for number, prompt in enumerate(tokens):
            if len(prompt) + longest > context:
                raise TrainerError(
                    f"prompts[{number}]: {len(prompt)} tokens and {longest} of output, the model takes {context} in all"
                )


def serve(base_model: Path, threads: int, requests: TextIO, answers: TextIO) -> None:
    """Answer every line of `requests` on `answers`; a request that fails gives an error line and the next is read."""
    server = Server(base_model, threads)
    _write(answers, {"ready": True})
    for line in requests:
        if not line.strip():
            continue
        request: Any = None
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise TrainerError("need a JSON object a line")
            _write(answers, {"id": request.get("id"), "outputs": server.answer(request)})
        except Exception as error:
            number = request.get("id") if isinstance(request, dict) else None
            _write(answers, {"id": number, "error": str(explain(error))})


def _write(answers: TextIO, value: dict[str, Any]) -> None:
    answers.write(json.dumps(value, ensure_ascii=False) + "\n")
    answers.flush()
