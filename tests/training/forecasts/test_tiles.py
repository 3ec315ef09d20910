"""Tiles cover the domain, and do not show where a network looks no further than the margin."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from corrstore.datasets.errors import BadInput
from corrstore.training.diffusion.edm import Denoiser, correlation_lengths
from corrstore.training.diffusion.levels import NoiseLevels
from corrstore.training.diffusion.noise import member_noise
from corrstore.training.diffusion.sampler import SamplerConfig, sample
from corrstore.training.diffusion.spectrum import cosine_modes, octave_of_modes, octaves
from corrstore.training.forecasts.tiles import Tiling, blend, tiled
from corrstore.training.networks.network import NetworkConfig, UNet
from corrstore.training.patches.patches import Patch

DOMAIN = (50, 70)


@st.composite
def tilings(draw):
    tile = draw(st.tuples(st.integers(4, 24), st.integers(4, 24)))
    domain = tuple(draw(st.integers(side, 3 * side)) for side in tile)
    return Tiling(domain, tile, draw(st.integers(0, min(tile) - 1)))


@given(tilings())
def test_weights_sum_to_one_at_every_pixel(tiling):
    total = torch.zeros(tiling.domain, dtype=torch.float64)
    for tile in tiling.tiles:
        tile.crop(total).add_(tile.window(total))
    np.testing.assert_allclose(total.numpy(), 1, rtol=1e-12)


@given(tilings())
def test_tiles_lie_inside_and_neighbours_overlap_as_asked(tiling):
    for axis, starts in enumerate(
        (sorted({tile.top for tile in tiling.tiles}), sorted({tile.left for tile in tiling.tiles}))
    ):
        assert starts[0] == 0
        assert starts[-1] + tiling.tile[axis] == tiling.domain[axis]
        assert all(first + tiling.tile[axis] - second >= tiling.overlap for first, second in pairwise(starts))


@given(tilings())
def test_a_cut_inside_the_domain_has_a_margin_of_zero_weight(tiling):
    for tile in tiling.tiles:
        window, margin = tile.window(torch.ones(())), tiling.margin
        assert (window >= 0).all()
        for start, length, domain, weight in (
            (tile.top, tiling.tile[0], tiling.domain[0], window),
            (tile.left, tiling.tile[1], tiling.domain[1], window.T),
        ):
            if start > 0:
                assert (weight[:margin] == 0).all()
            if start + length < domain:
                assert (weight[length - margin :] == 0).all()


def test_the_fewest_tiles_are_used_and_one_where_it_suffices():
    assert len(Tiling((1600, 2400), (448, 448), 64).tiles) == 4 * 7
    assert len(Tiling((448, 448), (448, 448), 64).tiles) == 1


@pytest.mark.parametrize(
    ("tiling", "message"),
    [
        (((40, 60), (48, 48), 8), "tile height 48.*domain's, 40"),
        (((60, 40), (48, 48), 8), "tile width 48.*domain's, 40"),
        (((60, 60), (48, 32), 32), "overlap 32.*tile width 32"),
        (((60, 60), (48, 32), -1), "overlap -1"),
    ],
)
def test_tiles_that_cannot_cover_are_refused(tiling, message):
    with pytest.raises(BadInput, match=message):
        Tiling(*tiling)


class Local(nn.Module):
    """Convolutions that look `radius` pixels around, conditioned on noise through a factor."""

    def __init__(self, in_channels, out_channels, radius):
        super().__init__()
        torch.manual_seed(0)
        layers = [nn.Conv2d(in_channels, 8, 3, padding=1)]
        for _ in range(radius - 1):
            layers += [nn.SiLU(), nn.Conv2d(8, 8, 3, padding=1)]
        self.layers = nn.Sequential(*layers, nn.SiLU(), nn.Conv2d(8, out_channels, 1))

    def forward(self, x, c_noise):
        return self.layers(x) * c_noise.cos()[:, None, None, None]


def drawn(tiling, radius, batch=3, members=2):
    """A draw by tiles and one of the whole domain, under the same noise."""
    denoise = Denoiser(Local(3, 2, radius), [0.5, 1.0]).double()
    condition = torch.randn(1, *DOMAIN, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    config = SamplerConfig(steps=6, sigma_max=20.0, eta=0.5)

    def noise(draw):
        return torch.stack([member_noise(member, draw, (2, *DOMAIN)) for member in range(members)])

    whole = sample(lambda x, sigma: denoise(x, sigma, condition.expand(members, -1, -1, -1)), noise, config)
    return sample(tiled(denoise, lambda tile: tile.crop(condition), tiling, batch), noise, config), whole


@pytest.mark.parametrize("tile", [(24, 32), (50, 20), (32, 70)])
@pytest.mark.parametrize("overlap", [12, 16])
def test_a_tiled_draw_of_a_network_that_sees_no_further_than_the_margin_is_the_untiled_one(tile, overlap):
    """Convolutions of radius 3, a margin of 3 or 4 pixels; zeros beyond the domain are the same."""
    by_tiles, whole = drawn(Tiling(DOMAIN, tile, overlap), radius=3)
    assert whole.std() > 0.1
    torch.testing.assert_close(by_tiles, whole, rtol=0, atol=1e-10)


def test_a_network_that_sees_further_than_the_margin_notices_the_cuts():
    by_tiles, whole = drawn(Tiling(DOMAIN, (24, 32), 8), radius=3)
    assert (by_tiles - whole).abs().max() > 1e-4


def test_the_number_of_tiles_evaluated_at_once_is_bounded_and_changes_nothing():
    tiling = Tiling(DOMAIN, (24, 32), 12)
    one, five = (drawn(tiling, radius=5, batch=batch)[0] for batch in (1, 5))
    torch.testing.assert_close(one, five, rtol=0, atol=1e-10)

    sizes = []

    def denoise(x, sigma, condition):
        sizes.append(len(x))
        return x

    x = torch.randn(3, 2, *DOMAIN)
    same = tiled(denoise, lambda tile: torch.zeros(1, 24, 32), tiling, batch=4)(x, torch.tensor(1.0))
    torch.testing.assert_close(same, x)
    assert max(sizes) == 4
    assert sum(sizes) == 3 * len(tiling.tiles)


def test_every_tile_gets_its_own_condition_and_members_share_it():
    tiling = Tiling(DOMAIN, (24, 32), 8)
    condition = torch.randn(2, *DOMAIN)
    pieced = tiled(lambda x, sigma, given: given, lambda tile: tile.crop(condition), tiling, batch=4)
    answer = pieced(torch.zeros(3, 2, *DOMAIN), torch.tensor(1.0))
    torch.testing.assert_close(answer, condition.expand(3, -1, -1, -1))


def test_a_mean_is_blended_over_the_domain_in_the_same_way():
    tiling = Tiling(DOMAIN, (16, 16), 4)
    field = torch.randn(1, 3, *DOMAIN)
    answer = blend(lambda pairs: torch.stack([2 * tile.crop(field[0]) for _, tile in pairs]), 1, tiling, batch=7)
    torch.testing.assert_close(answer, 2 * field)


def test_a_unet_with_attention_draws_a_domain_that_is_no_multiple_of_its_strides():
    torch.manual_seed(0)
    denoise = Denoiser(UNet(NetworkConfig.from_size("tiny", 3, 2, noise_conditioned=True)))
    condition = torch.randn(1, 37, 45)
    draw = sample(
        tiled(denoise, lambda tile: tile.crop(condition), Tiling((37, 45), (16, 24), 8), batch=2),
        lambda draw: member_noise(0, draw, (1, 2, 37, 45)),
        SamplerConfig(steps=3),
    )
    assert draw.shape == (1, 2, 37, 45)
    assert draw.isfinite().all()


class Nothing(nn.Module):
    """A network that adds nothing: its denoiser is the Wiener filter of the spectrum."""

    def forward(self, x, c_noise):
        return torch.zeros_like(x[:, :1])


@pytest.mark.parametrize(("smoothness", "alone", "around"), [(0.5, 0.01, 0.0005), (2.0, 0.3, 0.02)])
def test_tiles_that_touch_those_of_a_region_leave_little_of_the_influence_of_the_others(smoothness, alone, around):
    """The modes' standard deviation grows with that power of the wavelength; all tiles give the whole domain."""
    domain, region = (96, 96), Patch(40, 40, 16, 16)
    std = 2 * (torch.tensor(octaves(16, 16)).clamp(max=32) / 32) ** smoothness
    modes = torch.bincount(octave_of_modes(16, 16).flatten())
    denoise = Denoiser(Nothing(), octave_variance=(std**2 * modes / 256)[None])
    config = SamplerConfig(steps=25, sigma_min=0.01, sigma_max=50.0)
    condition = torch.zeros(1, 16, 16)

    def drawn(tiling):
        noise = tiling.area.crop(member_noise(3, 0, (1, *domain)))[None]
        fields = sample(tiled(denoise, lambda tile: condition, tiling, 64), lambda draw: noise, config)[0]
        return region.inside(tiling.area).crop(fields)

    everything = Tiling(domain, (16, 16), 4)
    touching = everything.touching(region)
    wanted = drawn(everything)
    off = [
        float((drawn(tiling) - wanted).abs().max() / wanted.std())
        for tiling in (touching, everything.touching(touching.area), everything.touching(Patch(0, 0, *domain)))
    ]
    assert off[0] > alone and 0 < off[1] < around and off[2] == 0, off


TILE = 16
SPECTRA = {
    "exponential": lambda k, length: (1 + (k * length) ** 2) ** -1.5,
    "squared exponential": lambda k, length: torch.exp(-((k * length) ** 2) / 4),
}
"""Spectral densities over the wave number k in radians a pixel, by the distance at which the correlation is 1/e."""


def covariances(spectrum, length):
    """Covariances along rows (mode, column, column) of the cosine modes along columns of isotropic fields, by tile."""
    wave_numbers = 2 * torch.pi * torch.fft.fftfreq(16 * TILE, dtype=torch.float64)
    modes = torch.pi / TILE * torch.arange(TILE)[:, None]
    of_lag = torch.fft.ifft(SPECTRA[spectrum](torch.hypot(wave_numbers, modes), length)).real
    lag = (torch.arange(TILE)[:, None] - torch.arange(TILE)).abs()
    return (of_lag * TILE / of_lag[:, 0].sum())[:, lag]


def profiles(spectrum, length, overlap):
    """Variance and mean squared gradient along rows, by column of three tiles, drawn with the best denoiser of a tile.

    They are exact: draws are linear in the noise, and each member is the answer to noise in one column. A domain as
    high as a tile has no cuts along columns, whose modes then do not mix: each row of a field here is one mode.
    """
    variance, vectors = torch.linalg.eigh(covariances(spectrum, length))
    variance = variance.clamp(min=0)

    def denoise(x, sigma, condition):
        kept = (vectors * (variance / (variance + sigma**2))[:, None]) @ vectors.mT
        return torch.einsum("hvw,bchw->bchv", kept, x)

    domain = TILE, TILE + 2 * (TILE - overlap)
    tiling = Tiling(domain, (TILE, TILE), overlap)
    impulses = torch.eye(domain[1], dtype=torch.float64)[:, None, None].expand(-1, 1, TILE, -1)
    levels = NoiseLevels(0.02, 5 * float(variance.max().sqrt()))
    condition = torch.zeros(1, TILE, TILE)
    answers = sample(tiled(denoise, lambda _: condition, tiling, 512), lambda _: impulses, SamplerConfig.over(levels))
    return [each.square().mean(dim=(1, 2)).sum(dim=0) for each in (answers, answers.diff(dim=-1))]


def differences(spectrum, length, overlap):
    """The largest differences of variance and gradient from those at the middle of the second tile, as shares."""
    middle = TILE - overlap + TILE // 2
    return [
        float((profile / profile[middle - 1 : middle + 1].mean() - 1)[TILE - overlap : 2 * TILE - overlap].abs().max())
        for profile in profiles(spectrum, length, overlap)
    ]


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_seams_do_not_show_at_an_overlap_of_twice_the_correlation_length_and_show_at_half_of_it(spectrum):
    length = TILE // 4
    assert max(differences(spectrum, length, 2 * length)) < 0.02
    assert max(differences(spectrum, length, length // 2)) > 0.05


def test_a_correlation_as_long_as_the_tile_shows_at_half_a_tile_too_but_less():
    eighth, half = (differences("exponential", TILE, overlap) for overlap in (TILE // 8, TILE // 2))
    assert min(eighth) > 0.15
    assert 0.02 < max(half) < 0.1


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize(("length", "low", "high"), [(2, 2, 3), (3, 3, 5), (2 * TILE, math.inf, math.inf)])
def test_the_correlation_length_follows_from_the_power_of_the_octaves(spectrum, length, low, high):
    power = cosine_modes(covariances(spectrum, length)).diagonal(dim1=1, dim2=2)
    octave = octave_of_modes(TILE, TILE).flatten()
    variance = torch.zeros(int(octave.max()) + 1, dtype=torch.float64).index_add_(0, octave, power.flatten())
    assert low <= correlation_lengths(variance[None] / TILE**2, TILE, TILE)[0] <= high


@pytest.mark.parametrize(
    ("overlap", "lengths", "said"),
    [
        (8, {"t2m": 4.0, "sp": 1.0}, ""),
        (8, {"t2m": 6.0, "sp": 4.0, "tp": 5.0}, "in t2m, tp: .* of 8 pixels .*; give --overlap 12$"),
        (8, {"t2m": math.inf, "tp": 5.0}, "in t2m, tp: .*; give --overlap 16; for t2m, train on larger patches too$"),
        (16, {"t2m": 20.0, "tp": 5.0}, "in t2m: .* is correlated; for t2m, train on larger patches too$"),
    ],
)
def test_what_is_said_of_seams_names_the_channels_and_the_overlap_they_need(overlap, lengths, said):
    found = Tiling((64, 96), (32, 40), overlap).seams(lengths)
    assert re.search(said, found) if said else found == ""


def test_one_tile_has_no_seams():
    assert Tiling((32, 40), (32, 40), 4).seams({"t2m": math.inf}) == ""
