"""A store of forecasts of maxima, minima, means and totals over windows, with floors, caps, a halo and two streams."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import yaml

from corrstore.beam_pipelines.changes import refuse_changes
from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.pairing.sample_plan import sample_plans
from corrstore.datasets.pairing.sources import used_rules
from corrstore.datasets.recipe.recipe import Recipe, recipe_from
from corrstore.datasets.samples.sample import physical_fields
from corrstore.datasets.store.build_record import BuildRecord
from corrstore.datasets.store.constants import storage_error
from corrstore.datasets.store.opening import Store, open_store
from tests.conftest import build_in_process
from tests.grib_made import eccodes, eccodes_handles, made, regular
from tests.small_archives import prepared

SHAPE = 7, 8
RUNS = [datetime(2020, 3, 1) + timedelta(hours=6 * number) for number in range(4)]
TOTAL, MEAN, MAXIMUM, MINIMUM = 1, 0, 2, 3  # code table 4.10
KINDS = {"tp": TOTAL, "ssrd": MEAN, "gust": MAXIMUM, "mn2t": MINIMUM, "tcc": None}
NUMBERS = {"tp": (0, 1, 8), "ssrd": (0, 4, 7), "gust": (0, 2, 22), "mn2t": (0, 0, 0), "tcc": (0, 6, 1)}
LEVELS = {"tp": (1, 0), "ssrd": (1, 0), "gust": (103, 10), "mn2t": (103, 2), "tcc": (1, 0)}
PROCESSES = {"tp": "accum", "ssrd": "avg", "gust": "max", "mn2t": "min", "tcc": "instant"}
FLUX = "surface_downwelling_shortwave_flux_in_air"
VARIABLES = {
    "ssrd": {"standard_name": FLUX, "long_name": "radiation", "units": "W m-2", "valid_range": [0, 1500]},
    "mn2t": {"standard_name": "air_temperature", "long_name": "minimum", "units": "K", "valid_range": [180, 340]},
}


def message(name: str, run: datetime, start: int, end: int, values: np.ndarray, process: int) -> bytes:
    """A message over the leads from `start` to `end` in hours; at `end` where the field is instantaneous."""
    discipline, category, number = NUMBERS[name]
    statistic = {} if KINDS[name] is None else {"productDefinitionTemplateNumber": 8}
    if statistic:
        statistic["typeOfStatisticalProcessing"] = KINDS[name]
    return made(
        "regular_ll_sfc_grib2",
        values,
        **{"discipline": discipline, "centre": "babj", "dataDate": int(run.strftime("%Y%m%d"))},
        **{"dataTime": run.hour * 100, **statistic, "generatingProcessIdentifier": process},
        **{"parameterCategory": category, "parameterNumber": number, "typeOfFirstFixedSurface": LEVELS[name][0]},
        **{"scaleFactorOfFirstFixedSurface": 0, "scaledValueOfFirstFixedSurface": LEVELS[name][1], **regular(*SHAPE)},
        **{"stepRange": f"{start}-{end}" if statistic else end, "bitsPerValue": 16},
    )


def messages_of(run: datetime, process: int) -> list[bytes]:
    """Twelve hours: totals and means since the start of the run, extremes of each hour, cloud cover at its end."""
    rng = np.random.default_rng(int(run.timestamp()) + process)
    rain = np.cumsum(rng.gamma(0.3, 2, (12, *SHAPE)), axis=0)
    light = 700 * np.cumsum(rng.random((12, *SHAPE)), axis=0)
    found = []
    for lead in range(1, 13):
        fields = {
            "tp": (0, rain[lead - 1]),
            "ssrd": (0, light[lead - 1] / lead),
            "gust": (lead - 1, 5 + 20 * rng.random(SHAPE)),
            "mn2t": (lead - 1, 260 + 20 * rng.random(SHAPE)),
            "tcc": (lead, 100 * rng.random(SHAPE)),
        }
        found += [message(name, run, start, lead, values, process) for name, (start, values) in fields.items()]
    return found


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    """Four runs of two generating processes, the second of other numbers; a file for each run."""
    folder = tmp_path_factory.mktemp("windows")
    for run in RUNS:
        for process in (1, 2):
            (folder / f"{run:%Y%m%d%H}_{process}.grib2").write_bytes(b"".join(messages_of(run, process)))
    return folder


def content(archive: Path, table: Path, **changes: object) -> dict:
    """Leads of 3 to 11 h, every 4, of windows of 3 h, from generating process 2."""
    rules = {
        name: {
            "grib": [
                {
                    **dict(zip(("discipline", "category", "number"), NUMBERS[name], strict=True)),
                    **dict(zip(("level_type", "level"), LEVELS[name], strict=True)),
                    "process": PROCESSES[name],
                }
            ]
        }
        for name in NUMBERS
    }
    table.write_text(yaml.safe_dump({"name": "mine", "like": "cma_gfs", "fields": rules, "variables": VARIABLES}))
    box = {"north": 48, "south": 46, "west": 102, "east": 105, "step": 1.0}
    side = {"source": "runs", "grid": box, "channels": list(NUMBERS)}
    return {
        "name": "windows",
        "title": "SYNTHETIC",
        "forecast": {
            "inits": {"start": "2020-03-01", "end": "2020-03-02", "hours": [0, 6, 12, 18]},
            "leads": {"first": "3h", "last": "11h", "every": "4h"},
        },
        "splits": {"train": {"start": "2020-03-01T03", "end": "2020-03-01T12"}},
        "sources": {"runs": {"type": str(table), "path": str(archive), "select": {"generating_process": 2}}},
        "input": {**side, "halo": 1},
        "target": side,
        "window": "3h",
        "variables": VARIABLES,
        "floors": {"tp": 0, "gust": 12},
        "caps": {"tcc": 80, "ssrd": 400},
        "store": {"dtype": "float32", "chunk": 8},
        **changes,
    }


def decoded(archive: Path, process: int) -> dict[tuple, np.ndarray]:
    """Every field as ecCodes gives it, by name, run, and the ends of its window in hours."""
    names = {(category, number): name for name, (_, category, number) in NUMBERS.items()}
    fields = {}
    for path in archive.glob(f"*_{process}.grib2"):
        for handle in eccodes_handles(path):
            name = names[tuple(eccodes.codes_get(handle, f"parameter{key}") for key in ("Category", "Number"))]
            run = f"{eccodes.codes_get(handle, 'dataDate')}{eccodes.codes_get(handle, 'hour'):02d}"
            ends = [int(end) for end in eccodes.codes_get(handle, "stepRange", str).split("-")]
            fields[name, run, *ends] = eccodes.codes_get_values(handle).reshape(SHAPE)
    return fields


def wanted(fields: dict[tuple, np.ndarray], run: str, lead: int) -> dict[str, np.ndarray]:
    """What each channel is by its definition, from the decoded fields of one run."""
    none = np.zeros(SHAPE)
    rain, light = ({0: none} | {h: fields[name, run, 0, h] for h in range(1, 13)} for name in ("tp", "ssrd"))
    hours = range(lead - 2, lead + 1)
    return {
        "tp": np.maximum(rain[lead] - rain[lead - 3], 0),
        "ssrd": np.minimum((lead * light[lead] - (lead - 3) * light[lead - 3]) / 3, 400),
        "gust": np.maximum(np.max([fields["gust", run, hour - 1, hour] for hour in hours], axis=0), 12),
        "mn2t": np.min([fields["mn2t", run, hour - 1, hour] for hour in hours], axis=0),
        "tcc": np.minimum(fields["tcc", run, lead], 80),
    }


def assert_equals_decoding(store: Store, archive: Path, samples: list[int]) -> None:
    fields = decoded(archive, process=2)
    for index in samples:
        run = store.axes.init_times[index].astype(datetime).strftime("%Y%m%d%H")
        lead = int(store.axes.lead_times[index] / np.timedelta64(1, "h"))
        numbers = wanted(fields, run, lead)
        for role, box in (("input", np.s_[1:6, 1:7]), ("target", np.s_[2:5, 2:6])):
            for channel, found in zip(store.plan.channels(role), store.physical(role, index), strict=True):
                close = 2 * storage_error(store.recipe, channel) + 1e-4
                np.testing.assert_allclose(found, numbers[channel.name][box], atol=close, err_msg=f"{channel} {index}")


def test_every_number_of_every_window_is_that_of_an_independent_decoding(archive, tmp_path):
    recipe = recipe_from(content(archive, tmp_path / "table.yaml"))
    report = build_in_process(recipe, tmp_path / "store").report
    assert (report.samples, report.valid) == (12, 12)
    store = open_store(str(tmp_path / "store"))
    assert_equals_decoding(store, archive, list(range(12)))
    methods = {name: field.attrs.get("cell_methods", "") for name, field in store.dataset("target").items()}
    of_windows = {"tp": "sum", "ssrd": "mean", "gust": "maximum", "mn2t": "minimum"}
    assert methods == {name: f"time: {method} (interval: 3h)" for name, method in of_windows.items()} | {"tcc": ""}
    (tmp_path / "store" / store.plan.shard_key("target", 7)).unlink()
    for read in (store.physical, store.stored):
        with pytest.raises(DamagedData, match=r"the shard of sample 7 .2020-03-01T12:00Z . 7h., is not there"):
            read("target", 7)
    with pytest.raises(DamagedData, match="the shard of sample 7 "):
        store.dataset("target", ["tp"]).tp[2, 1].load()


def test_totals_that_begin_anew_in_a_run_are_missing_and_no_floor_hides_it(archive, tmp_path):
    """From lead 10 h on the totals are those of another start."""
    (run, *_), folder = RUNS, tmp_path / "reset"
    folder.mkdir()
    rain = np.random.default_rng(2).random((12, *SHAPE)) / 2 + np.array([*range(9), 0, 0, 0])[:, None, None]
    total = [message("tp", run, 0, lead, rain[lead - 1], 2) for lead in range(1, 13)]
    (folder / "a.grib2").write_bytes(b"".join(total))
    changes = {"forecast": {"inits": ["2020-03-01"], "leads": {"first": "3h", "last": "11h", "every": "4h"}}}
    made = content(folder, tmp_path / "table.yaml", **changes)
    for role in ("input", "target"):
        made[role] = {**made[role], "channels": ["tp"]}
    made |= {"floors": {"tp": 0}, "caps": {}}
    made["splits"]["train"]["end"] = "2020-03-01T08"
    recipe, preparation = prepared(recipe_from(made))
    found = [
        field.missing
        for sample in sample_plans(preparation.pairs)
        for field in physical_fields(recipe, sample)
        if field.role == "target"
    ]
    assert found[:2] == [None, None]
    assert found[2].startswith("the totals of tp fall by up to 7.") and "a.grib2" in found[2]


LAST = {0: "11h", 6: "7h"}


@pytest.mark.parametrize(
    ("inits", "last", "refused"),
    [
        ([0, 6, 12], {**LAST, 12: "11h"}, None),
        ([0, 6, 12], {**LAST, 12: "3h", 18: "11h"}, None),
        ([0, 6], "11h", "last.6: '7h' in the store"),
        ([0, 6, 12], {**LAST, 12: "15h"}, "last.12: None in the store, '15h'"),
        ([0, 6, 12], {**LAST, 6: "11h", 12: "11h"}, "last.6: '7h' in the store, '11h'"),
    ],
)
def test_a_list_gains_a_run_of_another_hour_where_the_leads_of_the_others_stay(archive, tmp_path, inits, last, refused):
    def of(inits: list[int], last: object) -> Recipe:
        leads = {"first": "3h", "last": last, "every": "4h"}
        forecast = {"inits": [f"2020-03-01T{hour:02d}" for hour in inits], "leads": leads}
        made = content(archive, tmp_path / "table.yaml", forecast=forecast)
        made["splits"]["train"]["end"] = "2020-03-01T08"
        return recipe_from(made)

    before = of([0, 6], LAST)
    record = BuildRecord(before, used_rules(before), None)
    if refused is None:
        refuse_changes(record, of(inits, last), "store")
        return
    with pytest.raises(BadInput, match=refused):
        refuse_changes(record, of(inits, last), "store")
