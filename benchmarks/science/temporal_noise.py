"""A measurement of flicker: the correlation of drawn residuals from one time to the next, beside the truth's.

Run: python -m benchmarks.science.temporal_noise --store demo/store --checkpoint demo/diffusion [--samples 8]

The residual is a member, or the truth, minus the regression's mean. The first samples of the test split, which follow
one another, are drawn with each kind of temporal noise. The last column is the e-folding time that gives the truth's
correlation from one time to the next.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from corrstore.datasets.recipe.periods import parse_duration
from corrstore.datasets.store.opening import Store, open_store
from corrstore.training.diffusion.noise import TemporalNoise
from corrstore.training.diffusion.sampler import SamplerConfig
from corrstore.training.forecasts.forecast import ForecastSampler
from corrstore.training.forecasts.header import Part
from corrstore.training.forecasts.selection import Selection
from corrstore.training.forecasts.settings import SamplingSettings, tile_size
from corrstore.training.learning.checkpoint import Trained, load_checkpoint

KINDS = ("independent", "3h", "6h", "12h", "24h", "shared")
Residuals = NDArray[np.float64]


def drawn(trained: Trained, store: Store, samples: NDArray[np.int64], settings: SamplingSettings) -> list[Residuals]:
    """Return the mean and one member of each sample (sample, channel, lat, lon), in physical units."""
    sampler = ForecastSampler(trained, store, samples, settings)
    parts = [Part(time, member) for time in range(len(samples)) for member in (None, 0)]
    fields = dict(sampler.drawn(parts))
    return [np.stack([fields[part] for part in parts if part.member is member]).astype(float) for member in (None, 0)]


def lag_correlation(residuals: Residuals) -> NDArray[np.float64]:
    """Return the correlation (channel,) of the residuals of one time with those of the next, over pixels and times."""
    anomalies = residuals - residuals.mean(axis=(0, 2, 3), keepdims=True)
    now, later = anomalies[:-1], anomalies[1:]
    axes = (0, 2, 3)
    return (now * later).sum(axes) / np.sqrt((now**2).sum(axes) * (later**2).sum(axes))


def main() -> None:
    """Draw and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--samples", type=int, default=8)
    options = parser.parse_args()
    store = open_store(options.store)
    trained = load_checkpoint(options.checkpoint, store)
    samples, tile = Selection("test").samples(store)[: options.samples], tile_size(trained)
    truth = np.stack([store.physical("target", int(index)) for index in samples])
    sampler = SamplerConfig.over(trained.noise_levels)
    columns = {}
    for kind in KINDS:
        settings = SamplingSettings(
            1, tile, min(tile) // 8, sampler=sampler, temporal_noise=TemporalNoise.from_text(kind)
        )
        mean, member = drawn(trained, store, samples, settings)
        columns[kind] = lag_correlation(member - mean)
    wanted = lag_correlation(truth - mean)
    gap = (store.times[samples[1]] - store.times[samples[0]]) / parse_duration("1h")
    table = Table("", "truth", *KINDS, "e-folding of the truth")
    for position, name in enumerate(trained.features.target_names):
        numbers = [wanted[position], *(columns[kind][position] for kind in KINDS)]
        e_folding = f"{-gap / np.log(wanted[position]):.1f} h" if wanted[position] > 0 else "none"
        table.add_row(name, *(f"{number:.2f}" for number in numbers), e_folding)
    console = Console()
    console.print(f"correlation of residuals {gap:g} h apart, {len(samples)} samples of {store.folder.url}")
    console.print(table)


if __name__ == "__main__":
    main()
