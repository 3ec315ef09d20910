"""The table of the input's shift against the numbers of both stores, and against the errors of SYNTHETIC forecasts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corrstore.beam_pipelines.plan import plan
from corrstore.datasets.recipe.files import load_recipe
from corrstore.datasets.recipe.periods import parse_time
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.samples.input_shift import input_shift, read_shift, stored_input_rows
from corrstore.datasets.store.ledger import MANIFEST, RECORDS, SHIFT, STATISTICS, read_json
from corrstore.datasets.store.opening import Store, open_store
from corrstore.datasets.store.records import SampleRecord
from corrstore.datasets.synthetic import ForecastSpec, SyntheticSpec, synthesise, synthesise_forecasts
from corrstore.datasets.synthetic.era5 import ADDED_ERRORS
from corrstore.datasets.synthetic.forecasts.errors import FORECAST_ERRORS
from tests.command import corrstore
from tests.conftest import build_in_process, small_recipe_content


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
            assert row["beyond"] == pytest.approx(beyond, abs=0.03) and (row["beyond"] > 0) == (beyond > 0)
            assert (row["mean_shift_error"] is None) == (lead == 12)  # of one run


def test_plan_and_build_print_it(input_store, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert plan(input_store.recipe).shift == read_shift(input_store.folder)  # so few samples are all measured
    path = Path(input_store.folder.path()).parent / "recipe.yaml"
    printed = corrstore("build", path, "--output", input_store.folder.url).stdout
    assert "ratio of std" in printed and "compared with all 8 of them" in printed
    assert "1 to 2 samples of each lead" in printed and "none: the store was finished" in printed
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


@pytest.fixture(scope="module")
def fortnight(tmp_path_factory) -> Path:
    """A folder with a training store of 16 days, and CMA-GFS's and SFF's forecasts of ten of them."""
    root = tmp_path_factory.mktemp("fortnight")
    start, end = "2018-07-01T12", "2018-07-17T12"
    settings = SyntheticSpec(
        start=parse_time(start), end=parse_time(end), frequency=12, shape=(24, 32), margin=0, levels=(500,)
    )
    synthesise(root / "archive", settings)
    synthesise_forecasts(root / "forecasts", ForecastSpec(settings, runs=22, leads=3, every=24))
    content = small_recipe_content(root / "archive")
    channels = ["t2m", "u10m", "sp", {"z": [500]}, {"t": [500]}]
    coarse = {"north": 33.0, "south": 31.0, "west": 102.0, "east": 104.0, "step": 0.25}
    content |= {
        "period": {"start": start, "end": end, "frequency": "12h"},
        "splits": {"train": {"start": start, "end": end}},
        "input": {"source": "era5", "grid": coarse, "channels": channels, "halo": 0},
        "target": {
            "source": "cma_rra",
            "grid": {"north": 32.71, "south": 32.02, "west": 102.49, "east": 103.42, "step": 0.03},
            "channels": ["t2m"],
        },
        "floors": {},
        "static": [],
    }
    build_in_process(recipe_from(content), root / "store")
    return root


@pytest.mark.slow
@pytest.mark.parametrize("model", ["cma_gfs", "sff"])
def test_known_bias_and_growth_come_out_within_their_sampling_error(fortnight, model):
    path = fortnight / f"{model}.yaml"
    path.write_text(
        f"name: runs\nlike: {fortnight / 'store'}\ninput: {{source: runs}}\n"
        f"sources: {{runs: {{type: {model}, path: {fortnight / 'forecasts' / model}}}}}\n"
        "forecast:\n  inits: {start: 2018-07-03T00, end: 2018-07-14T00, hours: [0, 12]}\n"
        "  leads: {first: 24h, last: 72h, every: 24h}\n"
    )
    build_in_process(load_recipe(str(path)), fortnight / model)
    training = open_store(str(fortnight / "store"))
    stds = numbers(training, np.flatnonzero(training.valid)).std(axis=(1, 2, 3))
    std = dict(zip(training.recipe.channel_names("input"), stds, strict=True))
    rows = read_shift(open_store(str(fortnight / model)).folder)
    assert len(rows) == 5 * 3 and all(row["matched"] for row in rows)
    found, ratios = [], []
    for row in rows:
        error = FORECAST_ERRORS[model].growth_of(row["channel"])
        _, offset, deviation = ADDED_ERRORS[row["channel"].partition("_")[0]]
        lead = np.timedelta64(row["lead_seconds"], "s")
        bias = (error.bias_at(lead) - offset) / std[row["channel"]]
        ratio = np.sqrt(1 + (error.deviation_at(lead) ** 2 - deviation**2) / std[row["channel"]] ** 2)
        assert abs(row["mean_shift"] - bias) < 2 * row["mean_shift_error"], row
        assert abs(row["std_ratio"] - ratio) < 2 * row["std_ratio_error"], row
        if row["channel"] == "t_500":
            found.append(row["std_ratio"])
            ratios.append(ratio)
    assert np.diff(found) == pytest.approx(np.diff(ratios), abs=0.1) and np.diff(ratios).min() > 0.1
