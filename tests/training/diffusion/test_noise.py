"""The correlation of a member's noise in time, in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from corrstore.datasets.errors import BadInput
from corrstore.datasets.recipe.sample_axes import NO_RUN
from corrstore.training.diffusion.noise import TemporalNoise, innovations, member_key, member_noise, summed_noise

START = np.datetime64("2020-06-01T00", "s")
TIMES = START + np.arange(4) * np.timedelta64(3, "h")


@given(
    st.lists(st.integers(600, 86400), min_size=1, max_size=30),
    st.sampled_from([0.0, math.inf]) | st.floats(60, 1e7),
)
def test_noise_has_variance_one_and_correlation_exp_of_the_gap(gaps, e_folding):
    times = START + np.cumsum([0, *gaps]).astype("m8[s]")
    noise = TemporalNoise(e_folding)
    rows = [np.pad(noise.weights(times[: n + 1]), (0, len(gaps) - n)) for n in range(len(times))]
    apart = np.abs(np.subtract.outer(times, times)).astype(float)
    expected = np.where(apart == 0, 1.0, np.exp(-apart / e_folding) if e_folding else 0.0)
    np.testing.assert_allclose(np.array(rows) @ np.array(rows).T, expected, atol=1e-9)


def test_noise_is_the_sum_of_the_innovations_of_the_times_before():
    shape, noise = (1, 8, 8), TemporalNoise.from_text("6h")
    fields = [member_noise(member_key(time, 2, 7, START), 1, shape) for time in TIMES]
    r = math.exp(-0.5)
    expected = fields[0]
    for field in fields[1:]:
        expected = r * expected + math.sqrt(1 - r**2) * field
    torch.testing.assert_close(summed_noise(innovations(TIMES, START, 2, 7, noise), 1, shape), expected)
    for text, alone in (("independent", TIMES[3]), ("shared", TIMES[0])):
        parts = innovations(TIMES, NO_RUN, 2, 7, TemporalNoise.from_text(text))
        assert torch.equal(summed_noise(parts, 0, shape), member_noise(member_key(alone, 2, 7), 0, shape))


def test_keys_differ_by_run_and_lead():
    run, later = np.datetime64("2020-06-01T00"), np.datetime64("2020-06-01T03")
    assert len({member_key(later, 0, 0, init) for init in (NO_RUN, run, later)}) == 3


def test_texts_say_what_they_mean():
    for text in ("independent", "shared", "12h", "90min"):
        assert str(TemporalNoise.from_text(text)) == text
    with pytest.raises(BadInput, match="write independent, shared, or the time"):
        TemporalNoise.from_text("often")
