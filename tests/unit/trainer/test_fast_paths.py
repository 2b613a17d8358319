"""The shortcuts give the losses and gradients of the model's own forward, or are not taken, and say why."""

from dataclasses import replace

import pytest
import torch
from hf_trainer.data import Row, common_prefix, read_examples, tokenise
from hf_trainer.fast_paths import LONGEST_ROW, FastLoss
from hf_trainer.layout import ATTENTION, padded, prefix_shared
from hf_trainer.prompt import PromptFormat
from hf_trainer.spec import ATTENTION_AND_MLP, FastPaths
from hypothesis import given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

PATHS = ("completion_head", "shared_prefix", "cached_lower_layers")
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def rows(tiny_base, rows_files):
    return tokenise(read_examples(rows_files[0]), PromptFormat.load(tiny_base), 1024)


def adapted(tiny_base, top_layers=2, **options):
    """A tiny model whose adapters do something: B is not zero."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(
        tiny_base, dtype=torch.float32, attn_implementation=ATTENTION
    )
    layers = range(4 - top_layers, 4)
    config = LoraConfig(
        r=4,
        target_modules=list(ATTENTION_AND_MLP),
        layers_to_transform=list(layers),
        init_lora_weights=False,
        **options,
    )
    return get_peft_model(model, config)


def plain_loss(model, rows):
    """The summed loss the slow way: row by row, all logits."""
    total = torch.zeros(())
    for row in rows:
        logits = model(input_ids=torch.tensor([row.tokens])).logits[0, :-1].float()
        labels = torch.tensor(row.labels)[1:]
        total = total + torch.nn.functional.cross_entropy(logits, labels, ignore_index=-100, reduction="sum")
    return total


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("cached", [False, True])
def test_losses_and_gradients_stay_equal(tiny_base, rows, shared, cached):
    model = adapted(tiny_base)
    fast = FastLoss(model, rows, FastPaths(shared_prefix=shared, cached_lower_layers=cached))
    list(fast.fill_cache(rows))
    assert {name: choice.on for name, choice in fast.choices.items()} == {
        "completion_head": True,
        "shared_prefix": shared,
        "cached_lower_layers": cached,
    }
    for batch in (rows[:8], rows[8:9], rows[::-3]):
        total, count = fast.total(batch)
        expected = plain_loss(model, batch)
        assert abs(total.item() - expected.item()) / count < TOLERANCE
        torch.testing.assert_close(gradients(model, total), gradients(model, expected), atol=1e-4, rtol=1e-3)


def test_what_is_cached_is_not_computed_again(tiny_base, rows):
    model = adapted(tiny_base)
    fast = FastLoss(model, rows, FastPaths())
    assert list(fast.fill_cache(rows, 16)) == [16, 24]
    calls = []
    model.get_base_model().model.layers[0].register_forward_hook(lambda *_: calls.append(1))
    fast.total(rows[:8])
    assert not calls
    fast.total([Row((*rows[0].tokens[:-1], 7, 8), rows[0].reply_start)])
    assert calls  # an unknown row is computed, not guessed


@pytest.mark.parametrize(
    ("path", "reason", "arrange"),
    [
        ("cached_lower_layers", "the lowest layer is adapted", {"top_layers": 4}),
        ("cached_lower_layers", "dropout is 0.1", {"lora_dropout": 0.1}),
        ("shared_prefix", "dropout is 0.1", {"lora_dropout": 0.1}),
    ],
)
def test_a_path_is_not_taken_where_the_model_forbids_it(tiny_base, rows, path, reason, arrange):
    choice = FastLoss(adapted(tiny_base, **arrange), rows, FastPaths()).choices[path]
    assert (choice.on, choice.reason) == (False, reason)


def test_a_path_is_not_taken_where_the_rows_forbid_it(tiny_base, rows):
    model = adapted(tiny_base)
    without_common = [replace(row, tokens=(i + 3, *row.tokens[1:])) for i, row in enumerate(rows)]
    choice = FastLoss(model, without_common, FastPaths()).choices["shared_prefix"]
    assert (choice.on, choice.reason) == (False, "the prompts share only their first 0 tokens")
    long = [*rows, Row(rows[0].tokens[:9] + (5,) * LONGEST_ROW, 20)]
    choice = FastLoss(model, long, FastPaths()).choices["shared_prefix"]
    assert not choice.on
    assert "the longest row has" in choice.reason


def test_a_layer_trained_outside_the_adapters_forbids_the_cache(tiny_base, rows):
    model = adapted(tiny_base)
    model.get_base_model().model.embed_tokens.weight.requires_grad_(True)
    choice = FastLoss(model, rows, FastPaths()).choices["cached_lower_layers"]
    assert (choice.on, choice.reason) == (False, "something outside the upper layers is trained")


def test_a_model_that_scales_its_logits_is_found_out_by_its_losses(tiny_base, rows):
    model = adapted(tiny_base)
    forward = model.get_base_model().forward

    def scaled(*args, **kwargs):
        outputs = forward(*args, **kwargs)
        outputs.logits = outputs.logits / 2
        return outputs

    model.get_base_model().forward = scaled
    fast = FastLoss(model, rows, FastPaths())
    assert not fast.on
    assert all("differs by" in choice.reason for choice in fast.choices.values())


def test_a_model_of_another_shape_still_gets_its_own_losses(rows):
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=300, n_embd=32, n_layer=2, n_head=2, n_positions=256, resid_pdrop=0, embd_pdrop=0
    )
    config.attn_pdrop = 0.0
    model = get_peft_model(
        GPT2LMHeadModel(config), LoraConfig(r=4, target_modules=["c_attn"], fan_in_fan_out=True)
    )
    fast = FastLoss(model, rows, FastPaths())
    assert not fast.choices["cached_lower_layers"].on
    total, count = fast.total(rows[:4])
    assert abs(total.item() - plain_loss(model, rows[:4]).item()) / count < TOLERANCE


some_rows = st.lists(
    st.tuples(
        st.lists(st.integers(0, 9), min_size=1, max_size=6),
        st.lists(st.integers(0, 9), min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=5,
).map(lambda parts: [Row((1, 2, *prompt, *reply), 2 + len(prompt)) for prompt, reply in parts])


@settings(deadline=None, max_examples=60)
@given(some_rows)
def test_both_layouts_say_the_same_of_the_same_rows(rows):
    prefix = common_prefix(rows)
    assert prefix >= 2
    for lay in (padded(rows), prefix_shared(rows, prefix)):
        flat, own = lay.tokens.flatten(), lay.keys[-len(rows) :]
        assert lay.targets.tolist() == [token for row in rows for token in row.tokens[row.reply_start :]]
        before = [token for row in rows for token in row.tokens[row.reply_start - 1 : -1]]
        assert flat[lay.predicting].tolist() == before
        for row, key, piece in zip(rows, own, lay.pieces[-len(rows) :], strict=True):
            assert key == row.tokens[:-1]
            assert flat[piece].tolist() == list(key[-len(piece) :])
            positions = lay.position_ids.expand(lay.tokens.shape).flatten()[piece]
            assert positions.tolist() == list(range(len(key)))[-len(piece) :]
