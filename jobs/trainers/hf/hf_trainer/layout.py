"""How a batch of rows lies in memory: padded rows, or one sequence whose common prefix is there once.

Both know which positions predict the reply's tokens, so the language-model head runs on those only. The last token
of a row predicts nothing and is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, sdpa_mask
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from hf_trainer.data import Row

ATTENTION = "shared_prefix"


@dataclass(frozen=True)
class Layout:
    """A batch of `rows` as arguments of a decoder.

    tokens, position_ids: (sequences, length). `arguments`: what else the decoder's forward takes.
    `predicting`: flat positions whose next token counts in the loss; `targets`: those tokens.
    `pieces`: per cached piece its flat positions, in the order of `keys`.
    """

    tokens: torch.Tensor
    position_ids: torch.Tensor
    arguments: dict[str, Any]
    predicting: torch.Tensor
    targets: torch.Tensor
    keys: list[tuple[int, ...]]
    pieces: list[torch.Tensor]


@dataclass(frozen=True)
class SharedPrefix:
    """Where each row's own part lies behind the common prefix, for attention.

    `gather`: (rows, longest) flat positions of the rows' own tokens, padding points at the prefix' first;
    `own`: (rows, longest) bool, False where padded; `mask`: (rows, 1, longest, prefix + longest) bool.
    """

    length: int
    gather: torch.Tensor
    own: torch.Tensor
    mask: torch.Tensor


def padded(rows: Sequence[Row]) -> Layout:
    """Rows one under the other, padded on the right."""
    tokens = pad_sequence([torch.tensor(row.tokens[:-1]) for row in rows], batch_first=True)
    longest = tokens.shape[1]
    lengths = torch.tensor([len(row.tokens) - 1 for row in rows])
    offsets = [i * longest for i in range(len(rows))]
    return Layout(
        tokens=tokens,
        position_ids=torch.arange(longest).expand(len(rows), longest),
        arguments={"attention_mask": (torch.arange(longest) < lengths[:, None]).long()},
        predicting=_predicting(offsets, rows),
        targets=_targets(rows),
        keys=[row.tokens[:-1] for row in rows],
        pieces=_spans(offsets, rows, 0),
    )


def prefix_shared(rows: Sequence[Row], prefix: int) -> Layout:
    """The first `prefix` tokens once, then what each row has of its own; no padding."""
    own = [torch.tensor(row.tokens[prefix:-1]) for row in rows]
    lengths = torch.tensor([len(part) for part in own])
    starts = prefix + torch.cumsum(lengths, 0) - lengths
    columns = torch.arange(int(lengths.max()))
    there = columns < lengths[:, None]
    # Rows are padded inside attention only. A padded query sees its own column, so that no softmax runs over nothing.
    among_own = (columns[:, None] >= columns) & there[:, None, :] | torch.eye(len(columns), dtype=torch.bool)
    mask = torch.cat([torch.ones(len(rows), len(columns), prefix, dtype=torch.bool), among_own], dim=2)
    shared = SharedPrefix(prefix, torch.where(there, starts[:, None] + columns, 0), there, mask[:, None])
    offsets = (starts - prefix).tolist()
    return Layout(
        tokens=torch.cat([torch.tensor(rows[0].tokens[:prefix]), *own])[None],
        position_ids=torch.cat([torch.arange(prefix), *(torch.arange(prefix, prefix + len(o)) for o in own)])[
            None
        ],
        # A mask of four dimensions is passed on as it is; the attention below looks at `shared_prefix` instead.
        arguments={"attention_mask": torch.ones(1, 1, 1, 1, dtype=torch.bool), "shared_prefix": shared},
        predicting=_predicting(offsets, rows),
        targets=_targets(rows),
        keys=[rows[0].tokens[:prefix], *(row.tokens[:-1] for row in rows)],
        pieces=[torch.arange(prefix), *_spans(offsets, rows, prefix)],
    )


def attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    shared_prefix: SharedPrefix | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' attention interface: scaled dot product, the prefix' keys and values shared by all rows.

    query: (1, heads, length, size); key and value with fewer heads. Without `shared_prefix`: plain sdpa.
    """
    if shared_prefix is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **kwargs)
    groups = query.shape[1] // key.shape[1]
    rows = len(shared_prefix.gather)
    length = shared_prefix.length
    product = torch.nn.functional.scaled_dot_product_attention
    key, value = repeat_kv(key, groups), repeat_kv(value, groups)

    def own(states: torch.Tensor) -> torch.Tensor:
        return states[0][:, shared_prefix.gather].transpose(0, 1)

    def behind_prefix(states: torch.Tensor) -> torch.Tensor:
        return torch.cat([states[:, :, :length].expand(rows, -1, -1, -1), own(states)], dim=2)

    prefix = product(
        query[:, :, :length], key[:, :, :length], value[:, :, :length], is_causal=True, scale=scaling
    ).transpose(1, 2)
    each = product(
        own(query), behind_prefix(key), behind_prefix(value), attn_mask=shared_prefix.mask, scale=scaling
    ).transpose(1, 2)[shared_prefix.own]
    return torch.cat([prefix, each[None]], dim=1), None


def _spans(offsets: Sequence[int], rows: Sequence[Row], first: int) -> list[torch.Tensor]:
    """Per row the flat positions of its tokens from `first` on, the last left out; token t lies at offset + t."""
    return [torch.arange(o + first, o + len(row.tokens) - 1) for o, row in zip(offsets, rows, strict=True)]


def _predicting(offsets: Sequence[int], rows: Sequence[Row]) -> torch.Tensor:
    return torch.cat(
        [_spans([o], [row], row.reply_start - 1)[0] for o, row in zip(offsets, rows, strict=True)]
    )


def _targets(rows: Sequence[Row]) -> torch.Tensor:
    return torch.cat([torch.tensor(row.tokens[row.reply_start :]) for row in rows])


ALL_ATTENTION_FUNCTIONS.register(ATTENTION, attention)
ALL_MASK_ATTENTION_FUNCTIONS.register(ATTENTION, sdpa_mask)
