"""Tiles cover the domain, and do not show where a network looks no further than the margin."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from corrstore.datasets.errors import BadInput
from corrstore.training.diffusion.edm import Denoiser
from corrstore.training.diffusion.noise import member_noise
from corrstore.training.diffusion.sampler import SamplerConfig, sample
from corrstore.training.diffusion.spectrum import octave_of_modes, octaves
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
