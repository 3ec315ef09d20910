"""The table of the input's shift against the numbers of both stores, and against the errors of SYNTHETIC forecasts."""

from __future__ import annotations

import json
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from scipy.stats import chi2

from corrstore.beam_pipelines.plan import plan
from corrstore.datasets.errors import DamagedData
from corrstore.datasets.recipe.files import load_recipe
from corrstore.datasets.recipe.periods import format_time, parse_time
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.samples.input_shift import input_shift, read_shift, stored_input_rows
from corrstore.datasets.samples.preparation import prepare
from corrstore.datasets.statistics.shift import standard_error
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.ledger import MANIFEST, RECORDS, SHIFT, STATISTICS, read_json
from corrstore.datasets.store.opening import Store
from corrstore.datasets.store.records import SampleRecord
from corrstore.datasets.synthetic import ForecastSpec, SyntheticSpec, synthesise, synthesise_forecasts
from corrstore.datasets.synthetic.era5 import ADDED_ERRORS
from corrstore.datasets.synthetic.forecasts.errors import FORECAST_ERRORS
from tests.command import corrstore
from tests.conftest import build_in_process, small_recipe_content

HOUR = np.timedelta64(1, "h")


def numbers(store: Store, samples: np.ndarray) -> np.ndarray:
    """The inputs of some samples in physical units [channel, sample, lat, lon]."""
    return np.stack([store.physical("input", int(index)) for index in samples], axis=1)


def power(fields: np.ndarray) -> float:
    return float(np.mean(np.concatenate([np.diff(fields, axis=axis).ravel() for axis in (1, 2)]) ** 2))


def test_a_build_keeps_what_numpy_finds_in_both_stores(demo_store, input_store):
    train = demo_store.recipe.splits.intervals["train"].mask(demo_store.times) & demo_store.valid
    training = numbers(demo_store, np.flatnonzero(train))
    rows = {(row["channel"], row["lead_seconds"] // 3600): row for row in read_shift(input_store.folder)}
    assert len(rows) == 7 * 4 and SHIFT in read_json(input_store.folder, MANIFEST)
    for lead in (3, 6, 9, 12):
        of_lead = input_store.axes.lead_times == np.timedelta64(lead, "h")
        samples = np.flatnonzero(of_lead & input_store.valid)
        for channel, ours, theirs in zip(
            input_store.recipe.channel_names("input"), numbers(input_store, samples), training, strict=True
        ):
            row = rows[channel, lead]
            assert (row["samples"], row["training_samples"], row["matched"]) == (len(samples), 8, False)
            expected = (
                (ours.mean() - theirs.mean()) / theirs.std(),
                ours.std() / theirs.std(),
                power(ours) / power(theirs),
            )
            found = [row[name] for name in ("mean_shift", "std_ratio", "power_ratio")]
            assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)
            beyond = ((ours < theirs.min()) | (ours > theirs.max())).mean()
            # the share is read off a histogram, so that it has all or nothing of the bins in which the limits lie
            assert row["beyond"] == pytest.approx(beyond, abs=0.05) and (row["beyond"] > 0) == (beyond > 0)
            assert (row["mean_shift_error"] is None) == (lead == 12)  # of one run


@pytest.mark.parametrize("length", [None, 200])
def test_a_training_store_whose_statistics_are_damaged_is_named_before_anything_is_built(
    demo_store, input_store, tmp_path, length
):
    copy = Path(shutil.copytree(demo_store.folder.path(), tmp_path / "training"))
    whole = (copy / STATISTICS).read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    (copy / STATISTICS).write_bytes(flipped if length is None else whole[:length])
    like = input_store.recipe.like.model_copy(update={"store": str(copy)})
    with pytest.raises(DamagedData, match=f"{copy}/{STATISTICS} is damaged .*verify"):
        prepare(input_store.recipe.model_copy(update={"like": like}))


def test_plan_and_build_print_it(input_store, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    planned = plan(input_store.recipe)
    assert planned.shift == read_shift(input_store.folder)  # so few samples are all measured
    assert planned.samples == len(input_store.axes.due_samples) < len(input_store.axes)
    path = Path(input_store.folder.path()).parent / "recipe.yaml"
    printed = corrstore("build", path, "--output", input_store.folder.url).stdout
    assert "ratio of std" in printed and "compared with all 8 of them" in printed
    assert "1 to 2 samples of each lead" in printed and "none: the store was finished" in printed
    assert "± ?" in printed and "? is the error of samples of a single day" in printed
    printed = corrstore("build", path, "--output", input_store.folder.url, "--json").stdout
    assert json.loads(printed)["input_shift"] == read_shift(input_store.folder)


def test_a_training_store_of_before_small_scale_power_was_counted(demo_store, input_store, tmp_path):
    shutil.copytree(demo_store.folder.path(), tmp_path / "old")
    table = demo_store.table(STATISTICS).drop(["gradient_pairs", "gradient_power"])
    pq.write_table(table, tmp_path / "old" / STATISTICS)
    recipe = input_store.recipe
    old = recipe.model_copy(update={"like": recipe.like.model_copy(update={"store": str(tmp_path / "old")})})
    found = pd.DataFrame(input_shift(old, stored_input_rows(input_store.folder)).to_pylist())
    now = pd.DataFrame(read_shift(input_store.folder))
    unknown = ["power_ratio", "power_ratio_error"]
    assert found[unknown].isna().all(axis=None)
    pd.testing.assert_frame_equal(found.drop(columns=unknown), now.drop(columns=unknown))


def test_a_record_of_before_it_was_counted_is_read(input_store):
    content = input_store.folder.read(f"{RECORDS}/{input_store.folder.names(RECORDS)[0]}")
    whole, table = SampleRecord.from_bytes(content), pq.read_table(pa.BufferReader(content))
    assert whole.statistics["gradient_power"].null_count == 0
    statistics = whole.statistics.drop(["gradient_pairs", "gradient_power"]).combine_chunks().to_struct_array()
    lists = pa.ListArray.from_arrays(pa.array([0, len(statistics)], pa.int32()), statistics.combine_chunks())
    sink = pa.BufferOutputStream()
    pq.write_table(table.set_column(table.column_names.index("statistics"), "statistics", lists), sink)
    old = SampleRecord.from_bytes(sink.getvalue().to_pybytes())
    assert old.statistics["gradient_power"].null_count == len(old.statistics)
    assert old.statistics.select(range(10)).equals(whole.statistics.select(range(10)))


START, DAYS, LEADS = "2018-07-05T00", 16, (24, 48, 72)
MODELS = ("cma_gfs", "sff")


@pytest.fixture(scope="module")
def fortnight(tmp_path_factory) -> Path:
    """A folder with a training store of 32 times, and for each model and lead its forecasts of the same times."""
    root = tmp_path_factory.mktemp("fortnight")
    first, end = parse_time(START), parse_time(START) + np.timedelta64(DAYS, "D")
    settings = SyntheticSpec(start=first - 12 * HOUR, end=end, frequency=12, shape=(48, 64), margin=0, levels=(500,))
    synthesise(root / "archive", settings)
    runs = ForecastSpec(settings, runs=2 * DAYS + 4, leads=len(LEADS), every=24, start=first - LEADS[-1] * HOUR)
    synthesise_forecasts(root / "forecasts", runs)
    content = small_recipe_content(root / "archive")
    coarse = {"north": 33.0, "south": 31.0, "west": 102.0, "east": 104.75, "step": 0.25}
    content |= {
        "period": {"start": START, "end": format_time(end), "frequency": "12h"},
        "splits": {"train": {"start": START, "end": format_time(end)}},
        "input": {
            "source": "era5",
            "grid": coarse,
            "channels": ["t2m", "u10m", "sp", {"z": [500]}, {"t": [500]}],
            "halo": 0,
        },
        "target": {
            "source": "cma_rra",
            "grid": {"north": 32.71, "south": 31.30, "west": 102.49, "east": 104.38, "step": 0.03},
            "channels": ["t2m"],
        },
        "floors": {},
        "static": [],
    }
    build_in_process(recipe_from(content), root / "store")
    for model, lead in product(MODELS, LEADS):
        path = root / f"{model}_{lead}.yaml"
        inits = {"start": format_time(first - lead * HOUR), "end": format_time(end - lead * HOUR), "hours": [0, 12]}
        written = {
            "name": "runs",
            "like": str(root / "store"),
            "forecast": {"inits": inits, "leads": {"first": f"{lead}h", "last": f"{lead}h", "every": "24h"}},
            "sources": {"runs": {"type": model, "path": str(root / "forecasts" / model)}},
            "input": {"source": "runs"},
        }
        path.write_text(yaml.safe_dump(written))
        build_in_process(load_recipe(str(path)), path.with_suffix(""))
    return root


def moments_by_time(store: Path) -> pd.DataFrame:
    """The mean and variance of each channel's field at each time, from the ledger's statistics."""
    rows = pa.concat_tables(stored_input_rows(Folder(str(store)))).to_pandas()
    rows["variance"] = rows["m2"] / rows["count"]
    return rows.set_index(["channel", "valid_time"])[["mean", "variance"]].sort_index()


def in_errors(found: float, differences: pd.Series, planted: float) -> tuple[float, float]:
    """How many sampling errors the found number lies off the planted one, and off none.

    The error is that of the mean of the differences of forecast and analysis: the weather of a time is in both.
    """
    times = differences.index.to_numpy().astype("datetime64[s]")
    error = standard_error((differences - differences.mean()).to_numpy(), times)
    return (found - planted) / error, found / error


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("lead", LEADS)
def test_known_bias_and_growth_come_out_within_their_sampling_error(fortnight, model, lead):
    """All channels together are as far off as 999 of 1000 draws are; with nothing planted, 99 of 100 would be nearer.

    A store of forecasts has the times of the training store, so that the weather, which is in both, cancels.
    """
    rows = read_shift(Folder(str(fortnight / f"{model}_{lead}")))
    given, training = moments_by_time(fortnight / f"{model}_{lead}"), moments_by_time(fortnight / "store")
    assert len(rows) == 5 and all(row["matched"] and row["samples"] == 2 * DAYS for row in rows)
    shifts, growths = [], []
    for row in rows:
        ours, theirs = given.loc[row["channel"]], training.loc[row["channel"]]
        assert ours.index.equals(theirs.index)
        squares = [each["variance"] + (each["mean"] - each["mean"].mean()) ** 2 for each in (ours, theirs)]
        std = np.sqrt(squares[1].mean())
        error = FORECAST_ERRORS[model].growth_of(row["channel"])
        _, offset, deviation = ADDED_ERRORS[row["channel"].partition("_")[0]]
        shift = (error.bias_at(lead * HOUR) - offset) / std
        growth = np.sqrt(1 + (error.deviation_at(lead * HOUR) ** 2 - deviation**2) / std**2)
        shifts.append(in_errors(row["mean_shift"], (ours["mean"] - theirs["mean"]) / std, shift))
        influence = row["std_ratio"] * (squares[0] / squares[0].mean() - squares[1] / squares[1].mean()) / 2
        growths.append(in_errors(row["std_ratio"] - 1, influence, growth - 1))
    most, least = chi2.ppf(0.999, len(rows)), chi2.ppf(0.99, len(rows))
    for name, numbers in (("mean_shift", shifts), ("std_ratio", growths)):
        planted, none = np.square(numbers).sum(axis=0)
        assert planted < most and none > least, (name, planted, none)
