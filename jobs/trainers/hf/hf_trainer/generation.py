"""Greedy and sampled replies to a batch of prompts, the prompts' common prefix computed once.

Layout of a batch: the common prefix, padding, the rest of each prompt, then the reply. The padding is masked, and
positions count tokens only, so every row computes what it would compute alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

SHORTEST_PREFIX = 4  # tokens; below, a separate pass over the prefix costs more than it saves


@dataclass(frozen=True)
class Reply:
    """The reply's tokens, without the one that ended it; `count` includes it."""

    tokens: list[int]
    count: int


@torch.inference_mode()
def generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    stop: int,
    longest: int,
    temperature: float = 0.0,
    share_prefix: bool = True,
    random: torch.Generator | None = None,
) -> list[Reply]:
    """Replies of at most `longest` tokens to `prompts` (token ids), in their order.

    temperature 0 takes the likeliest token; else tokens are drawn with `random`. Rows that have ended leave the
    batch as soon as half of it has, so one long reply does not keep the others' places warm.
    """
    from transformers import DynamicCache

    if not prompts or longest < 1:
        return [Reply([], 0) for _ in prompts]
    device = model.device
    prefix = _common_prefix(prompts) if share_prefix and len(prompts) > 1 else 0
    prefix = prefix if prefix >= SHORTEST_PREFIX else 0
    rests = [list(prompt[prefix:]) for prompt in prompts]
    widest = max(len(rest) for rest in rests)
    padding = prompts[0][0]  # masked, so any token that exists
    tokens = torch.tensor([[padding] * (widest - len(rest)) + rest for rest in rests], device=device)
    mask = torch.tensor([[1] * prefix + [0] * (widest - len(r)) + [1] * len(r) for r in rests], device=device)
    cache = DynamicCache(config=model.config)
    if prefix:
        shared = torch.tensor([list(prompts[0][:prefix])], device=device)
        model(input_ids=shared, past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache.batch_repeat_interleave(len(prompts))

    replies: list[list[int]] = [[] for _ in prompts]
    rows = list(range(len(prompts)))  # which prompt each row of the batch answers
    ended = torch.zeros(len(prompts), dtype=torch.bool, device=device)
    for _ in range(longest):
        width = tokens.shape[1]
        positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -width:]
        logits = model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        chosen = _choose(logits.float(), temperature, random)
        for row, token, over in zip(rows, chosen.tolist(), ended.tolist(), strict=True):
            if not over:
                replies[row].append(token)
        ended |= chosen == stop
        if bool(ended.all()):
            break
        if int(ended.sum()) * 2 >= len(rows):
            going = (~ended).nonzero().flatten()
            cache.batch_select_indices(going)
            rows = [rows[i] for i in going.tolist()]
            chosen, mask, ended = chosen[going], mask[going], ended[going]
        tokens = chosen[:, None]
        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
    return [Reply(r[:-1] if r and r[-1] == stop else r, len(r)) for r in replies]


def _choose(logits: torch.Tensor, temperature: float, random: torch.Generator | None) -> torch.Tensor:
    if temperature <= 0:
        return logits.argmax(-1)
    return torch.multinomial((logits / temperature).softmax(-1), 1, generator=random).flatten()


def _common_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """How many leading tokens all prompts share, leaving each at least one of its own."""
    length = min(len(prompt) for prompt in prompts) - 1
    first = prompts[0]
    for prompt in prompts:
        while list(prompt[:length]) != list(first[:length]):
            length -= 1
    return max(length, 0)
