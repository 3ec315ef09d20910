"""The registry of scores: for each its function, its unit, which way is better, and where it is shown."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

from corrstore.datasets.statistics.histograms import physical_edges
from corrstore.datasets.variables.variable import Variable
from corrstore.training.evaluation.scoring import scores
from corrstore.training.evaluation.scoring.distributions import LEVELS, PIT_BINS
from corrstore.training.evaluation.scoring.tallies import QUANTILES, Domain, Floats, Tally

Best = Literal["lowest", "highest", "zero", "one", "none"]


class Measure(NamedTuple):
    """A score: `unit` is the channel's where it is None; `per` names the axes of its numbers after the row's.

    `title` is its heading in the report's table; a score without one is in the files alone. `takes` is what its
    function takes beside the tally: `wavenumbers`, or the `edges` of the channel's bins.
    """

    function: Callable[..., Floats]
    unit: str | None = None
    best: Best = "lowest"
    per: tuple[str, ...] = ()
    title: str = ""
    takes: str = ""


MEASURES = [
    Measure(scores.mae, title="MAE"),
    Measure(scores.rmse, title="RMSE"),
    Measure(scores.bias, best="zero", title="bias"),
    Measure(scores.crps, title="CRPS"),
    Measure(scores.spread, best="none"),
    Measure(scores.spread_skill, "1", "one", title="spread / skill"),
    Measure(scores.spectral_distance, "dB", title="spectral distance, dB", takes="wavenumbers"),
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
    Measure(scores.pit, "1", "one", ("bin",)),
    Measure(scores.quantile_error, None, "zero", ("level",), takes="edges"),
    Measure(scores.vector_rmse),
    Measure(scores.kinetic_energy_distance, "dB", takes="wavenumbers"),
    Measure(scores.vorticity_distance, "dB", takes="wavenumbers"),
    Measure(scores.divergence_distance, "dB", takes="wavenumbers"),
]
"""The scores, in the order in which they are written."""

BY_NAME = {each.function.__name__: each for each in MEASURES}
SHOWN = {name: each.title for name, each in BY_NAME.items() if each.title}
"""The headings of the report's table, by score."""


def functions(domain: Domain, variable: Variable) -> dict[str, Callable[[Tally], Floats]]:
    """Return the functions of a tally of a channel, by name."""
    taken = {"wavenumbers": domain.wavenumbers, "edges": physical_edges(variable)}
    return {
        name: partial(each.function, **{each.takes: taken[each.takes]}) if each.takes else each.function
        for name, each in BY_NAME.items()
    }


def places(measure: Measure, thresholds: tuple[float, ...], domain: Domain) -> list[dict[str, float]]:
    """Return what each number of a score is of, such as its threshold and width, in the order of its axes.

    The quantile of a bin of the probability integral transform is its middle.
    """
    middles = tuple((k + 0.5) / PIT_BINS for k in range(PIT_BINS))
    axes = {
        "threshold": ("threshold", thresholds),
        "width_km": ("width_km", domain.widths_km),
        "quantile": ("quantile", QUANTILES),
        "bin": ("quantile", middles),
        "level": ("quantile", LEVELS),
    }
    found: list[dict[str, float]] = [{}]
    for column, values in (axes[each] for each in measure.per):
        found = [{**each, column: value} for each in found for value in values]
    return found
