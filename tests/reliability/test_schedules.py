"""Random schedules, chosen and shrunk by Hypothesis; `make soak` runs thousands of them."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from proof.schedules import run


@settings(max_examples=15)
@given(st.randoms(use_true_random=False))
def test_whatever_happens_every_invariant_holds_in_the_end(rng: random.Random) -> None:
    assert run(rng, steps=20).records >= 0


def test_a_seed_repeats_a_schedule() -> None:
    assert run(random.Random(7)) == run(random.Random(7))
