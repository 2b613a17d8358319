"""One base model in memory, and the merged weights of the adapters it was last asked for.

An adapter is merged once (decoding with an unmerged one is a third slower); only the merged matrices are kept, and
switching adapters swaps pointers. Nothing is ever subtracted again, so the base stays what it was to the bit.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch

from hf_trainer.errors import TrainerError

CAPACITY = 4  # adapters; about 200 MB each for the default recipe


class AdaptedModel:
    """A causal language model that can take on the form of any of its adapters."""

    def __init__(self, base_model: Path, capacity: int = CAPACITY) -> None:
        from transformers import AutoModelForCausalLM

        if not (base_model / "config.json").is_file():
            raise TrainerError(f"{base_model}: no base model here (config.json is missing)")
        self.model: Any = AutoModelForCausalLM.from_pretrained(
            str(base_model), dtype=torch.float32, local_files_only=True
        )
        if torch.cuda.is_available():
            self.model.to("cuda")
        self.model.eval().requires_grad_(False)
        self._capacity = capacity
        self._merged: OrderedDict[str, dict[str, torch.Tensor]] = OrderedDict()
        self._worn: dict[str, torch.Tensor] = {}  # the base's own matrices that an adapter's stand in for

    def wear(self, adapter: str | None) -> Any:
        """The model in the form of `adapter` (a PEFT folder), or as the bare base."""
        for name, weights in self._worn.items():
            self.model.get_submodule(name).weight.data = weights
        self._worn = {}
        if adapter is None:
            return self.model
        merged = self._merged.get(adapter)
        if merged is None:
            merged = self._merged[adapter] = self._merge(Path(adapter))
            if len(self._merged) > self._capacity:
                self._merged.popitem(last=False)
        self._merged.move_to_end(adapter)
        for name, weights in merged.items():
            module = self.model.get_submodule(name)
            self._worn[name] = module.weight.data
            module.weight.data = weights
        return self.model

    def _merge(self, adapter: Path) -> dict[str, torch.Tensor]:
        if not (adapter / "adapter_config.json").is_file():
            raise TrainerError(f"{adapter}: no adapter here (adapter_config.json is missing)")
        from peft import PeftModel
        from peft.tuners.lora import LoraLayer

        adapted = PeftModel.from_pretrained(self.model, str(adapter), is_trainable=False)
        try:
            layers = {n: m for n, m in adapted.get_base_model().named_modules() if isinstance(m, LoraLayer)}
            with torch.no_grad():
                return {
                    n: m.get_base_layer().weight + m.get_delta_weight("default") for n, m in layers.items()
                }
        finally:
            adapted.unload()
