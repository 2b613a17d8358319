"""Serving: the protocol, and that batching and a shared prefix change no reply."""

import io
import json

import pytest
import torch
from hf_trainer.adapters import AdaptedModel
from hf_trainer.data import read_examples, tokenise
from hf_trainer.generation import generate
from hf_trainer.prompt import PromptFormat
from hf_trainer.serving import serve
from hf_trainer.spec import read_spec
from hf_trainer.training import train

PROMPTS = [
    "Classify:\nthe cat is here 3",
    "Classify:\nthe soup was late, how nice 41",
    "Classify:\nrain",
    "Classify:\n",
]


@pytest.fixture(scope="module")
def model(tiny_base):
    return AdaptedModel(tiny_base).model


@pytest.fixture(scope="module")
def prompts(tiny_base):
    prompt_format = PromptFormat.load(tiny_base)
    return [prompt_format.prompt(text) for text in PROMPTS]


@pytest.fixture(scope="module")
def adapter(tmp_path_factory, tiny_base, rows_files):
    """An adapter that has learnt the labels by heart."""
    folder = tmp_path_factory.mktemp("tuned")
    document = {
        "base_model": str(tiny_base),
        "train": str(rows_files[0]),
        "train_steps": 40,
        "batch_size": 8,
        "learning_rate_multiplier": 10.0,
        "recipe": {"top_layers": 4},
        "output": str(folder),
    }
    (folder / "spec.json").write_text(json.dumps(document))
    train(read_spec(folder / "spec.json"), lambda: False)
    return folder / "adapter"


def exchange(tiny_base, *requests):
    answers = io.StringIO()
    lines = [request if isinstance(request, str) else json.dumps(request) for request in requests]
    serve(tiny_base, 1, io.StringIO("\n".join(lines) + "\n"), answers)
    ready, *rest = (json.loads(line) for line in answers.getvalue().splitlines())
    assert ready == {"ready": True}
    return rest


def test_a_shared_prefix_and_a_batch_change_no_reply(model, prompts):
    alone = [generate(model, [prompt], stop=-1, longest=12)[0] for prompt in prompts]
    assert generate(model, prompts, stop=-1, longest=12, share_prefix=False) == alone
    assert generate(model, prompts, stop=-1, longest=12, share_prefix=True) == alone
    assert generate(model, [prompts[0]] * 2, stop=-1, longest=12) == [alone[0]] * 2


def test_a_reply_ends_at_the_stop_token_and_leaves_the_others_going(model, prompts):
    """Tokens that come up early in some replies are made the stop token: the batch shrinks, the others go on."""
    alone = [generate(model, [prompt], stop=-1, longest=12)[0].tokens for prompt in prompts]
    for stop in {tokens[3] for tokens in alone}:
        replies = generate(model, prompts, stop=stop, longest=12)
        for tokens, reply in zip(alone, replies, strict=True):
            end = tokens.index(stop) if stop in tokens else len(tokens)
            assert reply.tokens == tokens[:end]
            assert reply.count == end + (stop in tokens)


def test_sampling_is_reproducible_and_is_not_greedy(model, prompts):
    def sampled(seed):
        random = torch.Generator().manual_seed(seed)
        return [r.tokens for r in generate(model, prompts, -1, 12, temperature=1.5, random=random)]

    assert sampled(0) == sampled(0)
    assert sampled(0) != sampled(1)


def test_a_separator_within_a_text_ends_no_row(tmp_path):
    file = tmp_path / "train.jsonl"
    file.write_text('{"input_text": "p\u2028\u0085q", "output_text": "a"}\n', encoding="utf-8")
    assert [row.input_text for row in read_examples(file)] == ["p\u2028\u0085q"]


def test_an_adapter_replies_as_it_was_trained_and_the_base_stays_itself(tiny_base, adapter, rows_files):
    rows = read_examples(rows_files[0])
    asked = {"prompts": [row.input_text for row in rows], "max_output_tokens": 16}
    base, tuned, base_again = exchange(
        tiny_base,
        {"id": 1, "adapter": None, **asked},
        {"id": 2, "adapter": str(adapter), **asked, "temperature": 0.0},
        {"id": 3, "adapter": None, **asked},
    )
    assert base["outputs"] == base_again["outputs"]
    right = sum(o["text"] == row.output_text for o, row in zip(tuned["outputs"], rows, strict=True))
    assert right == len(rows)
    assert not any(o["text"] == row.output_text for o, row in zip(base["outputs"], rows, strict=True))
    tokens = tokenise(rows, PromptFormat.load(tiny_base), 1024)
    assert [o["input_tokens"] for o in tuned["outputs"]] == [row.reply_start for row in tokens]
    assert [o["output_tokens"] for o in tuned["outputs"]] == [
        len(row.tokens) - row.reply_start for row in tokens
    ]


def test_a_request_that_fails_does_not_end_the_server(tiny_base):
    answers = exchange(
        tiny_base,
        {"id": 1, "adapter": "/nowhere", "prompts": ["a"]},
        "not json",
        {"id": 3, "prompts": "a"},
        {"id": 4, "prompts": ["a" * 2000]},
        {"id": 5, "prompts": ["a"], "max_output_tokens": 0},
        {"id": 6, "prompts": []},
    )
    assert "/nowhere: no adapter here" in answers[0]["error"]
    assert answers[1]["id"] is None
    assert "need a list of strings" in answers[2]["error"]
    assert "the model takes 1024 in all" in answers[3]["error"]
    assert "max_output_tokens: have 0" in answers[4]["error"]
    assert answers[5] == {"id": 6, "outputs": []}


def test_only_so_many_merged_adapters_are_kept(tiny_base, adapter, tmp_path):
    adapted = AdaptedModel(tiny_base, capacity=2)
    folders = []
    for name in ("a", "b", "c"):
        folder = tmp_path / name
        folder.symlink_to(adapter)
        folders.append(str(folder))
        adapted.wear(str(folder))
    assert list(adapted._merged) == folders[1:]
