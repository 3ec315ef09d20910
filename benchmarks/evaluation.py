"""A benchmark of scoring: fields of the paper's domain against `scores` and xskillscore, and what --score adds.

One channel with thresholds and one without, of 1600 x 2400 and 8 members, SYNTHETIC, on the same arrays in one process
and one thread; a sample has 2 of one kind and 22 of the other. A package computes what it has of our scores, ours all
of them; the common ones must agree. What both lack (energy, variogram, spectra, spread) is ours alone. A package that
is not installed is left out, and told.

The share that --score adds to drawing: measured where a store is given, with the network of a checkpoint or, without
one, an untrained network of the paper's size; and by arithmetic for the paper's domain on one GPU, from the
floating-point operations of that network.

Run: python -m benchmarks.evaluation [--shape 1600 2400] [--members 8] [--store S [--checkpoint RUN]]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.opening import Store, open_store
from corrstore.training.diffusion.levels import NoiseLevels
from corrstore.training.diffusion.residual import ResidualScale
from corrstore.training.diffusion.sampler import SamplerConfig
from corrstore.training.evaluation.agenda import make_agenda
from corrstore.training.evaluation.evaluate import evaluate
from corrstore.training.evaluation.predictors.comparison import compare
from corrstore.training.evaluation.records.drawing import DrawnForecast, DrawnScores, Kept
from corrstore.training.evaluation.records.records import Records
from corrstore.training.evaluation.scoring import scores as ours
from corrstore.training.evaluation.scoring.neighbourhoods import fraction_errors
from corrstore.training.evaluation.scoring.pixels import pixel_sums
from corrstore.training.evaluation.scoring.tallies import PROBABILITIES, QUANTILES, Domain, Tally, tally
from corrstore.training.forecasts.forecast import ForecastSampler
from corrstore.training.forecasts.selection import Selection
from corrstore.training.forecasts.settings import SamplingSettings, tile_size
from corrstore.training.forecasts.tiles import Tiling
from corrstore.training.learning.checkpoint import Trained, load_checkpoint
from corrstore.training.learning.models import denoiser_for, frozen, regression_for
from corrstore.training.networks.network import NetworkConfig, UNet
from corrstore.training.patches.features import Features
from corrstore.training.patches.fixed import static_scales
from corrstore.training.run_config import RunConfig

THRESHOLDS = (0.1, 1.0, 5.0, 10.0)
PLAIN, EVENTS = 22, 2
"""Channels of a sample without and with thresholds."""
INPUTS, TARGETS = 37 + 2 + 4, 24
"""The paper's channels: input, static fields and position; targets."""
GPU = 400e12
"""Operations a second that one GPU (H100, bfloat16) is taken to do in such a network: 40 % of its peak."""

Fields = NDArray[np.float32]


def synthetic(shape: tuple[int, int], members: int) -> tuple[Fields, Fields]:
    """Return an ensemble (member, lat, lon) and its truth: rain-like, most of it zero, so that values tie."""
    rng = np.random.default_rng(0)
    fields = np.maximum(rng.gamma(0.5, 4.0, (members + 1, *shape)) - 1, 0).astype(np.float32)
    return fields[1:], fields[0]


def by_scores(ensemble: Fields, truth: Fields, domain: Domain, thresholds: tuple[float, ...]) -> dict[str, float]:
    """Return what the package `scores` computes of our scores, weighted by latitude."""
    from scores.categorical import BinaryContingencyManager
    from scores.continuous import additive_bias, mae, quantile_score, rmse
    from scores.probability import brier_score_for_ensemble, crps_for_ensemble, tail_tw_crps_for_ensemble
    from scores.spatial import fss_2d

    members = xr.DataArray(ensemble, dims=("member", "lat", "lon"))
    observed = xr.DataArray(truth, dims=("lat", "lon"))
    weights = xr.DataArray(np.broadcast_to(domain.row_weights[:, None], truth.shape), dims=("lat", "lon"))
    mean = members.mean("member", dtype=np.float64)
    found = {
        "mae": mae(mean, observed, weights=weights),
        "rmse": rmse(mean, observed, weights=weights),
        "bias": additive_bias(mean, observed, weights=weights),
        "crps": crps_for_ensemble(members, observed, "member", method="fair", weights=weights),
    }
    for level in QUANTILES:
        found[f"quantile {level}"] = quantile_score(
            members.quantile(level, "member", skipna=False), observed, level, weights=weights
        )
    for threshold in thresholds:
        found[f"brier {threshold}"] = brier_score_for_ensemble(
            members, observed, "member", threshold, fair_correction=False, weights=weights
        )
        found[f"tail {threshold}"] = tail_tw_crps_for_ensemble(
            members, observed, "member", threshold, tail="upper", method="fair", weights=weights
        )
        share, seen = (members >= threshold).mean("member"), (observed >= threshold).astype(float)
        counts = BinaryContingencyManager((share >= 0.5).astype(float), seen).transform()
        for measure in ("probability_of_detection", "false_alarm_ratio", "threat_score", "equitable_threat_score"):
            found[f"{measure} {threshold}"] = getattr(counts, measure)()
        for width in domain.widths:
            found[f"fss {threshold} {width}"] = fss_2d(
                share, seen, event_threshold=0.5, window_size=(width, width), spatial_dims=("lat", "lon")
            )
    return {name: float(np.squeeze(value)) for name, value in found.items()}


def by_xskillscore(ensemble: Fields, truth: Fields, domain: Domain, thresholds: tuple[float, ...]) -> dict[str, float]:
    """Return what xskillscore computes of our scores; its CRPS is not the fair one, and ranks have no weights."""
    import xskillscore as xs

    members = xr.DataArray(ensemble, dims=("member", "lat", "lon"))
    observed = xr.DataArray(truth, dims=("lat", "lon"))
    weights = xr.DataArray(np.broadcast_to(domain.row_weights[:, None], truth.shape), dims=("lat", "lon"))
    mean, dim = members.mean("member", dtype=np.float64), ["lat", "lon"]
    found = {
        "mae": xs.mae(mean, observed, dim=dim, weights=weights),
        "rmse": xs.rmse(mean, observed, dim=dim, weights=weights),
        "bias": xs.me(mean, observed, dim=dim, weights=weights),
        "not the fair crps": xs.crps_ensemble(observed, members, dim=dim, weights=weights),
    }
    xs.rank_histogram(observed, members, dim=dim)
    for threshold in thresholds:
        found[f"brier {threshold}"] = xs.threshold_brier_score(observed, members, threshold, dim=dim, weights=weights)
        edges = np.array([-np.inf, threshold, np.inf])
        counts = xs.Contingency(observed, mean, edges, edges, dim=dim)
        for measure in (
            "hit_rate",
            "false_alarm_ratio",
            "threat_score",
            "equit_threat_score",
            "heidke_score",
            "bias_score",
        ):
            found[f"{measure} {threshold}"] = getattr(counts, measure)()
    return {name: float(np.squeeze(value)) for name, value in found.items()}


def the_same(
    ensemble: Fields, truth: Fields, domain: Domain, thresholds: tuple[float, ...], package: str = "scores"
) -> None:
    """Compute the sums of the scores that the package has too (beside them ranks and the energy score's distances)."""
    shape, levels = truth.shape, np.array(thresholds)
    quantiles, widths = (QUANTILES, domain.widths) if package == "scores" else ((), ())
    pixel_sums(
        *(ensemble, truth.astype(np.float64), domain.row_weights, np.zeros(shape), levels, np.array(quantiles, float)),
        *(PROBABILITIES, (-np.inf, np.inf), None),
    )
    for threshold in thresholds if widths else ():
        fraction_errors(ensemble, truth, threshold, widths)


PACKAGES = {"scores": by_scores, "xskillscore": by_xskillscore}


def common(found: Tally, thresholds: tuple[float, ...]) -> dict[str, float]:
    """Return our scores that the package has too, by its names above."""
    named = {name: float(getattr(ours, name)(found)[0]) for name in ("mae", "rmse", "bias", "crps")}
    named |= {f"quantile {q}": float(v) for q, v in zip(QUANTILES, ours.quantile_score(found)[0], strict=True)}
    for place, threshold in enumerate(thresholds):
        named[f"brier {threshold}"] = float(ours.brier(found)[0, place])
        named[f"tail {threshold}"] = float(ours.tail_crps(found)[0, place])
    return named


def seconds_of(function: Callable[[], object]) -> float:
    """Return the seconds that a call takes on the cores of this process, without waiting for them."""
    started = time.process_time()
    function()
    return time.process_time() - started


def against_packages(shape: tuple[int, int], members: int, console: Console) -> float:
    """Print the seconds of ours and of the packages, and return ours for the ensembles of a sample."""
    ensemble, truth = synthetic(shape, members)
    domain = Domain.of_grid(RectilinearGrid(np.linspace(12.25, 60, shape[0]), np.linspace(70, 141.75, shape[1])))
    small = Domain.of_grid(RectilinearGrid(domain.grid.lat[:64], domain.grid.lon[:64]))
    corner = ensemble[:, :64, :64], truth[:64, :64], small, THRESHOLDS
    installed = [name for name in PACKAGES if find_spec(name)]
    tally(*corner)  # compiles
    for name in installed:
        PACKAGES[name](*corner)  # imports
        the_same(*corner, name)
    columns = [title for name in installed for title in ("ours, the same", name, "ratio")]
    title = f"{shape[0]} x {shape[1]}, {members} members, seconds of one core"
    table = Table("", "ours, all", *columns, title=title)
    total, peaks = np.zeros(1 + 2 * len(installed)), []
    for row, thresholds, channels in (("a channel", (), PLAIN), ("with thresholds", THRESHOLDS, EVENTS)):
        mine: list[Tally] = []
        took = [seconds_of(lambda t=thresholds, m=mine: m.append(tally(ensemble, truth, domain, t)))]
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        known = common(mine[0], thresholds)
        for name in installed:
            theirs: list[dict[str, float]] = []
            took.append(seconds_of(lambda t=thresholds, p=name: the_same(ensemble, truth, domain, t, p)))
            work = PACKAGES[name]
            took.append(seconds_of(lambda t=thresholds, m=theirs, w=work: m.append(w(ensemble, truth, domain, t))))
            for score in known.keys() & theirs[0].keys():
                np.testing.assert_allclose(known[score], theirs[0][score], rtol=1e-5, err_msg=f"{name}: {score}")
        table.add_row(row, *_seconds(np.array(took)))
        total += channels * np.array(took)
    table.add_row("a sample of 24", *_seconds(total))
    console.print(table)
    for name in PACKAGES.keys() - set(installed):
        console.print(f"the package {name} is not installed: nothing to compare with; pip install {name}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    console.print(
        f"samples a second: {1 / total[0]:.4f} of one core; the most memory of this process was"
        f" {decimal(peaks[0] * 1024)} with ours, {decimal(peak)} with all; the arrays have"
        f" {decimal(ensemble.nbytes + truth.nbytes)}"
    )
    return float(total[0])


def _seconds(took: NDArray[np.float64]) -> list[str]:
    """Seconds in words: ours, and of each package ours of the same, its own, and their ratio."""
    cells = [f"{took[0]:.2f}"]
    for same, theirs in took[1:].reshape(-1, 2):
        cells += [f"{same:.2f}", f"{theirs:.1f}", f"{theirs / same:.1f}"]
    return cells


def paper_drawing(shape: tuple[int, int], members: int) -> tuple[float, int]:
    """Return the operations that a sample takes with the paper's network, and the network calls of a member."""
    calls = SamplerConfig(sigma_min=0.002, sigma_max=500.0).steps
    tiling = Tiling(shape, (448, 448), 56)
    operations = {}
    for noisy, channels, out in ((False, INPUTS, 2 * TARGETS), (True, INPUTS + 3 * TARGETS, TARGETS)):
        with torch.device("meta"):
            network = UNet(NetworkConfig.from_size("paper", channels, out, noise_conditioned=noisy))
            fields = torch.empty(1, channels, 448, 448)
            noise = (torch.empty(1),) if noisy else ()
        with FlopCounterMode(display=False) as counter:
            network(fields, *noise)
        operations[noisy] = counter.get_total_flops()
    tiles = len(list(tiling.tiles))
    return tiles * (operations[False] + members * calls * operations[True]), calls


def untrained(store: Store) -> Trained:
    """Return networks of the paper's size for the store, whose numbers mean nothing."""
    fields = store.attributes["fingerprint_fields"]
    config = RunConfig(stage="diffusion", size="paper")
    known = {"url": store.folder.url, "fingerprint": store.fingerprint, "fingerprint_fields": fields}
    count = len(fields["target"]["channels"])
    models = frozen(regression_for(config, fields), "cpu"), frozen(denoiser_for(config, fields), "cpu")
    scale, levels = ResidualScale(torch.zeros(count), torch.full((count,), 0.1)), NoiseLevels(0.002, 500.0)
    return Trained(config, 0, known, Features(store, static_scales(store)), *models, scale, levels)


def added_share(store_url: str, checkpoint: str | None, members: int, times: int, console: Console) -> None:
    """Print the seconds of drawing, and of drawing and scoring, of as many times of a store's test split."""
    store = open_store(store_url)
    trained = load_checkpoint(checkpoint, store) if checkpoint else untrained(store)
    samples, levels = Selection("test").samples(store)[:times], trained.noise_levels
    assert levels is not None
    sides = tile_size(trained)
    sampling = SamplingSettings(members, sides, min(sides) // 8, sampler=SamplerConfig.over(levels))
    sampler = ForecastSampler(trained, store, samples, sampling)
    with tempfile.TemporaryDirectory() as name:
        forecast = sampler.forecast(f"{name}/drawn", "zarr")
        forecast.create()
        list(sampler.drawn(forecast.header.parts[:1]))  # the first call takes longer
        drawing = seconds_of(lambda: list(sampler.draw(forecast, forecast.header.parts)))
        evaluate(store_url, f"{name}/drawn")  # compiles
        scoring = seconds_of(lambda: evaluate(store_url, f"{name}/drawn"))
        judged = sampler.forecast(f"{name}/judged", "zarr")
        judged.create()
        drawn = DrawnForecast(judged.folder, judged.header, sampler=sampler)
        agenda = make_agenda(compare(store_url, f"{name}/judged", drawn=drawn), drawn=drawn)
        work = DrawnScores(Records(agenda, Folder(f"{name}/evaluation")), drawn, Kept())
        both = seconds_of(lambda: work.run(lambda done: None))
        size = sum(path.stat().st_size for path in Path(name, "evaluation").rglob("*") if path.is_file())
    shape, count = judged.header.target_grid.shape, len(judged.header.channels)
    console.print(
        f"{times} times of {shape[0]} x {shape[1]}, {count} channels, {members} members, network {trained.config.size}:"
        f" drawing {drawing:.1f} s, scoring what is stored {scoring:.1f} s, {scoring / drawing:.1%} of it; drawing and"
        f" scoring together {both:.1f} s of one core, {both / drawing - 1:+.1%};"
        f" records {decimal(size)}"
    )


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=2, default=[1600, 2400])
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--store")
    parser.add_argument("--checkpoint")
    parser.add_argument("--times", type=int, default=2)
    options = parser.parse_args()
    console, shape = Console(width=120), (options.shape[0], options.shape[1])
    seconds = against_packages(shape, options.members, console)
    operations, calls = paper_drawing((1600, 2400), options.members)
    gpu = operations / GPU
    console.print(
        f"the paper's network: {operations / 1e15:.1f} PFLOP a sample of {options.members} members, {calls} calls each,"
        f" {gpu:.0f} s of a GPU at {GPU / 1e12:.0f} TFLOP/s; scoring three ensembles and their means is"
        f" about {3.5 * seconds:.0f} s of one core, {3.5 * seconds / 16 / gpu:.0%} of that on 16 cores, and runs while"
        " the next sample is drawn"
    )
    if options.store:
        added_share(options.store, options.checkpoint, options.members, options.times, console)


if __name__ == "__main__":
    main()
