"""The pixels of a channel that are scored: those that the truth and all predictors have, above the ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.variables.channels import Channel
from corrstore.training.evaluation.predictors.fits import Fit
from corrstore.training.evaluation.predictors.ground import above_ground
from corrstore.training.evaluation.predictors.sample import ScoredSample
from corrstore.training.evaluation.sums import SumsRecord

LEFT_OUT, CELLS = "left_out", "cells"
BELOW_GROUND = "below the ground"


@dataclass(frozen=True)
class Matched:
    """The truth (lat, lon) of a channel where all predictors have it, NaN elsewhere, and the predictions of it.

    `scored` are the pixels of it that are scored: those of a pressure level that lie above the ground.
    """

    truth: FieldArray
    scored: NDArray[np.bool_]
    predictions: dict[str, FieldArray]


def matched(sample: ScoredSample, channel: Channel, fit: Fit | None, record: SumsRecord) -> Matched:
    """Return the matched fields of a channel; what is left out is counted in the record, beside the truth's pixels.

    A number that is not finite is missing.
    """
    truth, predictions = sample.truth(channel), sample.predictions(channel, fit)
    present, above = np.isfinite(truth), above_ground(sample, channel)
    known = {name: np.isfinite(each).all(axis=0) for name, each in predictions.items()}
    common = np.logical_and.reduce([present, *known.values()])
    lacked = {name: present & ~each for name, each in {**known, "": common}.items()}
    if above is not None:
        lacked[BELOW_GROUND] = present & ~above
    for name, each in lacked.items():
        counts = np.array([np.count_nonzero(each), np.count_nonzero(present)], np.float64)
        record.sums["", channel.name, name, LEFT_OUT] = counts
    scored = common if above is None else common & above
    return Matched(np.where(common, truth, np.float32(np.nan)), scored, predictions)


def beside(channel: Channel) -> str | None:
    """Return the channel that this one is scored beside: of a dew point the temperature, of a wind the other component.

    A wind is scored under its eastward component.
    """
    if channel.name == "d2m":
        return "t2m"
    partner = channel.vector_partner
    return partner.name if partner is not None and channel.variable.standard_name == "eastward_wind" else None


def in_order(channels: Sequence[Channel]) -> list[Channel]:
    """Return the channels, each right after the one that it is scored beside."""
    named, found = {each.name: each for each in channels}, dict[str, Channel]()
    for channel in channels:
        for name in (beside(channel), channel.name):
            if name in named:
                found.setdefault(name, named[name])
    return list(found.values())
