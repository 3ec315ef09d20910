"""The charts of spectra: of a channel, and of a wind's kinetic energy, vorticity and divergence."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from matplotlib.ticker import LogLocator

from corrstore.catalog.printing.wording import power_of_ten, short_number, units
from corrstore.datasets.variables.channels import Channel
from corrstore.training.evaluation.pages.axes import Axis, Chart, Line, path
from corrstore.training.evaluation.predictors.names import MEMBER
from corrstore.training.evaluation.results import Evaluation
from corrstore.training.evaluation.scoring.tallies import Floats, Tally

_WAVELENGTHS = np.array([5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000])
_LEAST = 1e-9  # of the truth's variance: below it is the rounding of a constant field
_DECADES_SHOWN = 4


def spectra_chart(evaluation: Evaluation, channel: Channel) -> Chart | None:
    """Return variance by wavelength of the truth and of every predictor; None where no sample was whole."""
    unit = f"({units(channel.variable.units)})² km"
    return _spectra(evaluation, channel, "Power spectra", unit, lambda tally: (tally.spectrum, tally.truth_spectrum))


def flow_charts(evaluation: Evaluation, channel: Channel) -> list[Chart]:
    """Return the spectra of kinetic energy, vorticity and divergence of an eastward wind; none of other channels."""
    kinds = (("Kinetic energy", "m² s⁻² km"), ("Vorticity", "s⁻² km"), ("Divergence", "s⁻² km"))
    if not evaluation.tallies[channel.name, evaluation.predictors(channel)[0]].flow.shape[1]:
        return []
    drawn = [
        _spectra(evaluation, channel, title, unit, partial(_flow, place=place))
        for place, (title, unit) in enumerate(kinds)
    ]
    return [each for each in drawn if each is not None]


def _flow(tally: Tally, place: int) -> tuple[Floats, Floats]:
    return tally.flow[:, place], tally.truth_flow[:, place]


def _spectra(
    evaluation: Evaluation, channel: Channel, title: str, unit: str, spectra: Callable[[Tally], tuple[Floats, Floats]]
) -> Chart | None:
    waves, predictors = evaluation.domain.wavenumbers, evaluation.predictors(channel)
    totals = {each: evaluation.tallies[channel.name, each].total for each in predictors}
    totals = {
        name: total for name, total in totals.items() if spectra(total)[0].sum() > _LEAST * spectra(total)[1].sum()
    }
    first = next(iter(totals.values()), None)
    if first is None or not spectra(first)[1].any():
        return None
    powers = {"truth": spectra(first)[1], **{name: spectra(total)[0] for name, total in totals.items()}}
    densities = {name: (power[0] / first.whole / waves.widths)[waves.resolved] for name, power in powers.items()}
    truth, centres = densities["truth"], waves.centres[waves.resolved]
    most = max(float(each.max()) for each in densities.values())
    along = Axis(float(centres[0]), float(centres[-1]), logarithmic=True)
    upright = Axis(max(float(truth.min()) / 10, most * 10.0 ** -(2 * _DECADES_SHOWN)), most * 2, logarithmic=True)
    decades = LogLocator(numticks=_DECADES_SHOWN + 2).tick_values(upright.low, upright.high)
    return Chart(
        title,
        f"{unit}, by wavelength in km",
        [Line(name, path(along.at(centres), upright.at(each))) for name, each in densities.items() if name != MEMBER],
        along.ticks(1 / _WAVELENGTHS[::-1], lambda wavenumber: short_number(round(1 / wavenumber))),
        upright.ticks(decades, power_of_ten),
    )
