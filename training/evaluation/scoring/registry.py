"""The registry of scores: for each its function, its unit, which way is better, and where it is shown."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

from corrstore.training.evaluation.scoring import scores
from corrstore.training.evaluation.scoring.tallies import QUANTILES, Domain, Floats, Tally

Best = Literal["lowest", "highest", "zero", "one"]


class Measure(NamedTuple):
    """A score: `unit` is the channel's where it is None; `per` names the axes of its numbers after the row's.

    `title` is its heading in the report's table; a score without one is in the files alone.
    """

    function: Callable[..., Floats]
    unit: str | None = None
    best: Best = "lowest"
    per: tuple[str, ...] = ()
    title: str = ""


MEASURES = [
    Measure(scores.mae, title="MAE"),
    Measure(scores.rmse, title="RMSE"),
    Measure(scores.bias, best="zero", title="bias"),
    Measure(scores.crps, title="CRPS"),
    Measure(scores.spread, best="zero"),
    Measure(scores.spread_skill, "1", "one", title="spread / skill"),
    Measure(scores.spectral_distance, "dB", title="spectral distance, dB"),
    Measure(scores.energy, title="energy score"),
    Measure(scores.variogram),
    Measure(scores.outside, "1"),
    Measure(scores.above_temperature, "1"),
    Measure(scores.quantile_score, per=("quantile",)),
    Measure(scores.fss, "1", "highest", ("threshold", "width_km")),
    Measure(scores.csi, "1", "highest", ("threshold",)),
    Measure(scores.pod, "1", "highest", ("threshold",)),
    Measure(scores.far, "1", "lowest", ("threshold",)),
    Measure(scores.frequency_bias, "1", "one", ("threshold",)),
    Measure(scores.ets, "1", "highest", ("threshold",)),
    Measure(scores.hss, "1", "highest", ("threshold",)),
    Measure(scores.brier, "1", "lowest", ("threshold",)),
    Measure(scores.tail_crps, None, "lowest", ("threshold",)),
]
"""The scores, in the order in which they are written."""

BY_NAME = {each.function.__name__: each for each in MEASURES}
SHOWN = {name: each.title for name, each in BY_NAME.items() if each.title}
"""The headings of the report's table, by score."""


def functions(domain: Domain) -> dict[str, Callable[[Tally], Floats]]:
    """Return the functions of a tally, by name."""
    distance = partial(scores.spectral_distance, wavenumbers=domain.wavenumbers)
    return {name: distance if name == "spectral_distance" else each.function for name, each in BY_NAME.items()}


def places(measure: Measure, thresholds: tuple[float, ...], domain: Domain) -> list[dict[str, float]]:
    """Return what each number of a score is of, such as its threshold and width, in the order of its axes."""
    values = {"threshold": thresholds, "width_km": domain.widths_km, "quantile": QUANTILES}
    found: list[dict[str, float]] = [{}]
    for name in measure.per:
        found = [{**each, name: value} for each in found for value in values[name]]
    return found
