"""Three shortcuts to the same losses, each with the conditions it needs.

1. `completion_head`: the language-model head, a third of the multiplications of a small model, runs only on the
   positions that predict the reply. (TRL drops the other positions only on Triton devices.)
2. `cached_lower_layers`: what the layers below the lowest adapter give for a row never changes; it is computed once.
3. `shared_prefix`: the instruction that begins every prompt is computed once a batch, and rows are not padded.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hf_trainer import layout
from hf_trainer.data import Row, common_prefix
from hf_trainer.layout import Layout
from hf_trainer.spec import FastPaths

SHORTEST_PREFIX = 4  # tokens; below, gathering the rows costs more than the prefix saves
LONGEST_ROW = 512  # tokens; beyond, attention over the rows' own padding outgrows what is saved
CACHE_BYTES = 512 * 2**20
TOLERANCE = 1e-4  # largest difference of losses that a shortcut may show on the first rows


@dataclass(frozen=True)
class Choice:
    """Whether a fast path is taken, and why not."""

    on: bool
    reason: str | None = None
    size: int | None = None  # layers cached, or tokens shared


class FastLoss:
    """Losses of batches of rows by the fast paths that hold for this model and these rows.

    `choices` says which are taken and why the others are not; it goes into the job's manifest.
    """

    def __init__(self, model: nn.Module, rows: Sequence[Row], wanted: FastPaths) -> None:
        self._model = model
        self._device = next(model.parameters()).device
        self._lower: _Frozen | None = None
        self._prefix = 0
        self._cache: dict[tuple[int, ...], torch.Tensor] = {}
        causal = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._decoder: Any = getattr(causal, causal.base_model_prefix, None)
        self._head: Any = causal.get_output_embeddings()
        self._upper = self._decoder
        self.choices: dict[str, Choice] = {"completion_head": self._choose_head(wanted)}
        if self.on:
            self.choices["shared_prefix"] = self._choose_prefix(rows, wanted)
            self.choices["cached_lower_layers"] = self._choose_cache(rows, wanted)
            self._verify(rows[:2])
        else:
            self.choices |= dict.fromkeys(
                ("shared_prefix", "cached_lower_layers"), Choice(False, "needs the head")
            )

    @property
    def on(self) -> bool:
        """Whether this may stand in for the model's own forward at all."""
        return self.choices["completion_head"].on

    def fill_cache(self, rows: Sequence[Row], batch_size: int = 16) -> Iterator[int]:
        """Run the lower layers on all rows, in their order; yields the number of rows done.

        In one order always, because the last bits of a product depend on the shape of its batch: a job that goes
        on from a checkpoint then has the cache of the job that was never stopped.
        """
        if self._lower is None:
            return
        for start in range(0, len(rows), batch_size):
            chunk = self._lay(rows[start : start + batch_size])
            hidden = self._lower(chunk).flatten(0, 1)
            for key, piece in zip(chunk.keys, chunk.pieces, strict=True):
                if key not in self._cache:
                    self._cache[key] = hidden[piece.to(hidden.device)].clone()
            yield min(start + batch_size, len(rows))

    def total(self, rows: Sequence[Row]) -> tuple[torch.Tensor, int]:
        """The summed cross entropy of the replies' tokens, and how many they are."""
        lay = self._lay(rows)
        hidden = self._hidden(lay).flatten(0, 1)[lay.predicting]
        losses = nn.functional.cross_entropy(self._head(hidden).float(), lay.targets, reduction="sum")
        return losses, len(lay.targets)

    def _hidden(self, lay: Layout) -> torch.Tensor:
        if self._lower is None:
            return _run(self._upper, lay, input_ids=lay.tokens)
        if any(key not in self._cache for key in lay.keys):
            hidden = self._lower(lay)
        else:
            size = self._cache[lay.keys[0]].shape[-1]
            flat = self._cache[lay.keys[0]].new_zeros(lay.tokens.numel(), size)
            for key, piece in zip(lay.keys, lay.pieces, strict=True):
                flat[piece] = self._cache[key]
            hidden = flat.view(*lay.tokens.shape, size)
        return _run(self._upper, lay, inputs_embeds=hidden)

    def _lay(self, rows: Sequence[Row]) -> Layout:
        lay = layout.prefix_shared(rows, self._prefix) if self._prefix else layout.padded(rows)
        return lay if self._device.type == "cpu" else _moved(lay, self._device)

    def _choose_head(self, wanted: FastPaths) -> Choice:
        if not wanted.completion_head:
            return Choice(False, "switched off in the recipe")
        if self._decoder is None or self._decoder is self._model or not isinstance(self._head, nn.Linear):
            return Choice(False, "the model is not a decoder with a linear head")
        return Choice(True)

    def _verify(self, rows: Sequence[Row]) -> None:
        """Switch paths off, the boldest first, until the loss of some rows is that of the model's own forward."""
        was_training = self._model.training
        self._model.eval()
        with torch.no_grad():
            lay = _moved(layout.padded(rows), self._device)
            logits = self._model(input_ids=lay.tokens, **lay.arguments).logits.flatten(0, 1)[lay.predicting]
            expected = float(nn.functional.cross_entropy(logits.float(), lay.targets))
            for name in ("cached_lower_layers", "shared_prefix", "completion_head"):
                if (reason := self._disagreement(rows, expected)) is None:
                    break
                if self.choices[name].on:
                    self._switch_off(name, reason)
        self._model.train(was_training)

    def _disagreement(self, rows: Sequence[Row], expected: float) -> str | None:
        try:
            total, count = self.total(rows)
        except (TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
            return f"the model does not support it: {error}"
        difference = abs(float(total) / count - expected)
        return None if difference <= TOLERANCE else f"the loss of the first rows differs by {difference:.1e}"

    def _switch_off(self, name: str, reason: str) -> None:
        self.choices[name] = Choice(False, reason)
        if name == "cached_lower_layers":
            self._upper, self._lower = self._decoder, None
        elif name == "shared_prefix":
            self._prefix = 0

    def _choose_prefix(self, rows: Sequence[Row], wanted: FastPaths) -> Choice:
        if not wanted.shared_prefix:
            return Choice(False, "switched off in the recipe")
        if reason := _dropout(self._model):
            return Choice(False, reason)
        kinds = set(getattr(self._decoder.config, "layer_types", None) or ["full_attention"])
        if kinds != {"full_attention"}:
            return Choice(False, f"the model has layers of the kinds {', '.join(sorted(kinds))}")
        if self._decoder.config._attn_implementation != layout.ATTENTION:
            return Choice(False, f"the model's attention is {self._decoder.config._attn_implementation}")
        if (longest := max(len(row.tokens) for row in rows)) > LONGEST_ROW:
            return Choice(False, f"the longest row has {longest} tokens, more than {LONGEST_ROW}")
        if (prefix := common_prefix(rows)) < SHORTEST_PREFIX:
            return Choice(False, f"the prompts share only their first {prefix} tokens")
        self._prefix = prefix
        return Choice(True, size=prefix)

    def _choose_cache(self, rows: Sequence[Row], wanted: FastPaths) -> Choice:
        if not wanted.cached_lower_layers:
            return Choice(False, "switched off in the recipe")
        if reason := _dropout(self._model):
            return Choice(False, reason)
        layers = getattr(self._decoder, "layers", None)
        if not isinstance(layers, nn.ModuleList) or not isinstance(
            getattr(self._decoder, "norm", None), nn.Module
        ):
            return Choice(False, "the decoder has no list of layers under a last norm")
        lowest = next((i for i, layer in enumerate(layers) if _trained(layer)), len(layers))
        if lowest == 0:
            return Choice(False, "the lowest layer is adapted")
        above = {id(p) for layer in layers[lowest:] for p in layer.parameters()}
        if any(id(p) not in above for p in self._model.parameters() if p.requires_grad):
            return Choice(False, "something outside the upper layers is trained")
        tokens = sum(len(row.tokens) for row in rows)
        if (need := tokens * self._decoder.config.hidden_size * 4) > CACHE_BYTES:
            return Choice(
                False, f"the cache would take {need / 2**20:.0f} MiB, more than {CACHE_BYTES / 2**20:.0f}"
            )
        lower = _slice(self._decoder, 0, lowest)
        lower._modules["norm"] = nn.Identity()
        self._upper = _slice(self._decoder, lowest, len(layers))
        self._lower = _Frozen(lower)
        return Choice(True, size=lowest)


class _Frozen:
    """A decoder run without gradients."""

    def __init__(self, decoder: nn.Module) -> None:
        self._decoder = decoder

    def __call__(self, lay: Layout) -> torch.Tensor:
        with torch.no_grad():
            return _run(self._decoder, lay, input_ids=lay.tokens)


def _run(decoder: Callable[..., Any], lay: Layout, **given: torch.Tensor) -> torch.Tensor:
    outputs = decoder(**given, position_ids=lay.position_ids, use_cache=False, **lay.arguments)
    return outputs.last_hidden_state


def _slice(decoder: Any, first: int, end: int) -> Any:
    """A view of a decoder with some of its layers; all parameters are shared, names of adapters stay."""
    view = copy.copy(decoder)
    view._modules = dict(decoder._modules)
    view._modules["layers"] = nn.ModuleList(decoder.layers[first:end])
    view.config = copy.copy(decoder.config)
    view.config.num_hidden_layers = end - first
    if getattr(decoder.config, "layer_types", None):
        view.config.layer_types = decoder.config.layer_types[first:end]
    return view


def _trained(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())


def _dropout(model: nn.Module) -> str | None:
    dropout = max([m.p for m in model.modules() if isinstance(m, nn.Dropout)], default=0.0)
    attention_dropout = getattr(model.config, "attention_dropout", 0.0) or 0.0
    if dropout or attention_dropout:
        return f"dropout is {max(dropout, attention_dropout)}"
    return None


def _moved(lay: Layout, device: torch.device) -> Layout:
    def move(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.to(device)
        if isinstance(value, list) and value and isinstance(value[0], torch.Tensor):
            return [move(item) for item in value]
        if isinstance(value, dict):
            return {key: move(item) for key, item in value.items()}
        if isinstance(value, layout.SharedPrefix):
            return layout.SharedPrefix(value.length, move(value.gather), move(value.own), move(value.mask))
        return value

    return Layout(**{name: move(value) for name, value in vars(lay).items()})
