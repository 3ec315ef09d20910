"""How much of what can be gained a forecast gains: its CRPS beside that of the synthetic weather's own law.

Run: python -m benchmarks.science.best_possible [--store demo/store --forecast demo/forecast --output demo/law]

The archive of `corrstore synth` is one draw of a law that is known: land, large-scale flow, and Gaussian textures
(datasets/synthetic/weather). The coarse input shows the textures' waves down to twice its grid spacing, 56 km, with an
error of its own law. So the best possible members are draws of the law that have these waves in common with the truth
but for another draw of that error, and shorter waves of their own.
They are written as a forecast, SYNTHETIC, which `corrstore evaluate --baseline law=demo/law` takes. Printed are the
gains in fair CRPS over the regression with white noise, 95 % intervals over the times, and the forecast's share of the
law's gain.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from rich.console import Console
from rich.table import Table

from corrstore.datasets.grids.fields import FieldArray
from corrstore.datasets.recipe.periods import parse_duration
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.opening import Store, open_store
from corrstore.datasets.synthetic.domain import SyntheticDomain, domain_of
from corrstore.datasets.synthetic.era5 import ADDED_ERRORS, MULTIPLIED_ERRORS, analysis_error
from corrstore.datasets.synthetic.spec import FINE_STEP, SyntheticSpec
from corrstore.datasets.synthetic.weather.noise import Redraw
from corrstore.datasets.synthetic.weather.weather import Weather
from corrstore.training.evaluation.evaluate import evaluate
from corrstore.training.evaluation.predictors.names import ENSEMBLE, WHITE
from corrstore.training.evaluation.results import Gain
from corrstore.training.forecasts.files import Forecast, open_forecast

SEEN_KM = 56.0
LAW = "law"
_HOUR = np.timedelta64(1, "h")


def target_fields(weather: Weather, store: Store, time: np.datetime64) -> FieldArray:
    """Return the store's target channels (channel, lat, lon) in the weather at a valid time, raised to the floors."""
    moment = weather.at(time)
    found = moment.surface()
    window = int(parse_duration(store.recipe.frequency) / _HOUR)
    rain = [weather.rain_over_hour(time - hour * _HOUR)[0] for hour in reversed(range(window))]
    found["tp"] = np.sum(rain, axis=0, dtype=np.float32)
    channels = store.plan.channels("target")
    for level in {each.level for each in channels if each.level is not None}:
        found |= {f"{name}_{level}": field for name, field in moment.on_level(level).items()}
    crop = _crop(weather.domain, store)
    floors = store.recipe.floors
    return np.stack([np.maximum(found[each.name][crop], floors.get(each.name, -np.inf)) for each in channels])


def _crop(domain: SyntheticDomain, store: Store) -> tuple[slice, slice]:
    grid = store.grid("target")
    row = round((domain.fine.north - grid.lat[0] * 1e6) / FINE_STEP)
    column = round((grid.lon[0] * 1e6 - domain.fine.west) / FINE_STEP)
    return slice(row, row + grid.lat.size), slice(column, column + grid.lon.size)


def drawn_by_the_law(store: Store, like: Forecast, url: str, members: int) -> Forecast:
    """Write the law's members at the times of a forecast, and return them."""
    interval, grid = store.recipe.interval, store.grid("target")
    hours = int(parse_duration(store.recipe.frequency) / _HOUR)
    spec = SyntheticSpec(
        interval.start,
        interval.end,
        frequency=hours,
        north=round(float(grid.lat[0]), 2),
        west=round(float(grid.lon[0]), 2),
        shape=grid.shape,
    )
    settings = {**like.header.settings, "model": f"the synthetic law, waves below {SEEN_KM:g} km drawn anew"}
    header = replace(like.header, title="SYNTHETIC draws of the law", members=members, settings=settings, lineage={})
    forecast = Forecast(Folder(url), header)
    forecast.create()
    for member in range(members):
        weather = Weather(spec.seed, domain_of(spec), Redraw(member, SEEN_KM))
        for part in header.parts:
            if part.member == member and not forecast.has(part):
                time = header.valid_times[part.time]
                forecast.write(part, as_seen(target_fields(weather, store, time), weather, store, time, member))
    return forecast


def as_seen(fields: FieldArray, weather: Weather, store: Store, time: np.datetime64, member: int) -> FieldArray:
    """Return a member's fields as the truth's analysis shows them if the error in it is another draw, the member's."""
    channels, crop = store.plan.channels("target"), _crop(weather.domain, store)
    return np.stack(
        [
            _as_seen(field, each.variable.name, weather, crop, time, weather.seed + 1000 * (member + 1))
            if each.variable.name in ADDED_ERRORS | MULTIPLIED_ERRORS
            else field
            for field, each in zip(fields, channels, strict=True)
        ]
    )


def _as_seen(
    field: FieldArray, name: str, weather: Weather, crop: tuple[slice, slice], time: np.datetime64, other_seed: int
) -> FieldArray:
    (added, factor), (other_added, other_factor) = (
        [each[crop] if np.ndim(each) else each for each in analysis_error(seed, name, weather.domain.fine, time)]
        for seed in (weather.seed, other_seed)
    )
    return (field * factor + added - other_added) / other_factor


def _text(gain: Gain) -> str:
    return f"{gain.value:+.1%} ({gain.low:+.1%} to {gain.high:+.1%})"


def main() -> None:
    """Draw, evaluate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", default="demo/store")
    parser.add_argument("--forecast", default="demo/forecast")
    parser.add_argument("--output", default="demo/law")
    parser.add_argument("--members", type=int, default=4)
    options = parser.parse_args()
    drawn_by_the_law(open_store(options.store), open_forecast(options.forecast), options.output, options.members)
    found = evaluate(options.store, options.forecast, baselines={LAW: options.output})
    table = Table("channel", "forecast's gain", "law's gain", "share", title="gain in CRPS over " + WHITE)
    for ours, best in zip(found.gains(ENSEMBLE, WHITE), found.gains(LAW, WHITE), strict=True):
        table.add_row(ours.channel, _text(ours), _text(best), f"{ours.value / best.value:.0%}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
