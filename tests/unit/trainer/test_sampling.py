"""The order of the rows: every row once an epoch, labels evenly, the same for the same seed."""

from collections import Counter

from hf_trainer.sampling import EvenSampler
from hypothesis import given
from hypothesis import strategies as st

replies = st.lists(st.integers(0, 5).map(lambda label: (label,)), min_size=1, max_size=60)


def order(replies, seed=0, epoch=0):
    sampler = EvenSampler(replies, seed)
    sampler.set_epoch(epoch)
    return list(sampler)


@given(replies, st.integers(0, 3))
def test_every_row_comes_once_an_epoch(replies, epoch):
    assert (
        sorted(order(replies, 0, epoch))
        == list(range(len(replies)))
        == list(range(len(EvenSampler(replies, 0))))
    )


@given(replies)
def test_the_order_is_the_seeds_and_the_epochs(replies):
    assert order(replies, 1, 2) == order(replies, 1, 2)


def test_seeds_and_epochs_differ():
    replies = [(i % 2,) for i in range(40)]
    assert len({tuple(order(replies, seed, epoch)) for seed in range(2) for epoch in range(2)}) == 4


@given(st.integers(1, 12), st.integers(0, 99))
def test_batches_have_the_mix_of_the_whole(batches, seed):
    replies = [(0,), (1,), (1,), (1,)] * (2 * batches)
    mixed = order(replies, seed)
    for start in range(0, len(mixed), 8):
        counts = Counter(replies[i] for i in mixed[start : start + 8])
        assert abs(counts[(0,)] - 2) <= 1


def test_where_every_reply_is_its_own_all_orders_can_come():
    assert len({tuple(order([(0,), (1,), (2,)], seed)) for seed in range(99)}) == 6
