"""What a sample tells about the predictors of others: the input's error, and the regression's residual."""

from __future__ import annotations

import numpy as np

from corrstore.datasets.variables.channels import Channel
from corrstore.training.evaluation.predictors.comparison import Opened
from corrstore.training.evaluation.predictors.fits import (
    INPUT_ERROR,
    RESIDUAL,
    SPECTRUM,
    Floats,
    cell_sums,
    residual_sums,
    spectrum_sums,
)
from corrstore.training.evaluation.predictors.sample import ScoredSample, normalised
from corrstore.training.evaluation.scoring.spectra import Wavenumbers
from corrstore.training.evaluation.sums import Key


def sample_sums(opened: Opened, position: int) -> dict[Key, Floats]:
    """Return the sums of a sample, by its position in the forecast: a function of the files alone."""
    sample, found = ScoredSample(opened, position), dict[Key, Floats]()
    for channel in opened.channels:
        found |= channel_sums(sample, channel)
    return found


def channel_sums(sample: ScoredSample, channel: Channel) -> dict[Key, Floats]:
    """Return the sums of one channel of a sample."""
    opened, truth = sample.opened, sample.truth(channel)
    grid, constants = opened.truth.grid, opened.normalisation(channel)
    residual = normalised(constants, truth) - normalised(constants, sample.regression(channel))
    found = {RESIDUAL: residual_sums(residual), SPECTRUM: spectrum_sums(residual, Wavenumbers.of_grid(grid))}
    interpolated = sample.interpolation(channel)
    if interpolated is not None and opened.input is not None:
        theirs = opened.input.grid
        rows, columns = (
            np.abs(points[:, None] - nodes).argmin(axis=1)
            for points, nodes in ((grid.lat, theirs.lat), (grid.lon, theirs.lon))
        )
        found[INPUT_ERROR] = cell_sums(interpolated.astype(np.float64) - truth, rows, columns, theirs.shape)
    return {("", channel.name, "", name): sums for name, sums in found.items()}
