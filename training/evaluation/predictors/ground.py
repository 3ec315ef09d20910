"""The ground: which pixels of a pressure level lie above it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corrstore.datasets.variables.channels import Channel
from corrstore.datasets.variables.formulas import STANDARD_GRAVITY
from corrstore.training.evaluation.predictors.comparison import Opened
from corrstore.training.evaluation.predictors.sample import ScoredSample


def above_ground(sample: ScoredSample, channel: Channel) -> NDArray[np.bool_] | None:
    """Return the pixels [lat, lon] that lie above the ground by the truth, None where all do or nothing is known.

    By the surface pressure or, where the truth has none, by the height of the level and that of the terrain.
    """
    level, telling = channel.level, telling_of_ground(sample.opened, channel)
    if level is None or telling is None:
        return None
    numbers = sample.truth(telling)
    if telling.name == "sp":
        return ~(numbers < 100 * level)
    height = numbers / STANDARD_GRAVITY if telling.variable.name == "z" else numbers
    terrain = sample.opened.static("orog")
    assert terrain is not None
    return ~(height < terrain)


def telling_of_ground(opened: Opened, channel: Channel) -> Channel | None:
    """Return the target of the truth that tells where a pressure level is below the ground; None where none does."""
    targets = {each.name: each for each in opened.truth.store.plan.channels("target")}
    heights = ("z", "gh") if opened.static("orog") is not None else ()
    names = ["sp", *(f"{each}_{channel.level}" for each in heights)]
    return next((targets[name] for name in names if name in targets), None)
