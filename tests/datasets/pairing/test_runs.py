"""One run a sample: schedules of overlapping runs, some of whose fields are not there."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corrstore.datasets.archives.inventory import SOURCES_SCHEMA, Inventory
from corrstore.datasets.archives.references import REFERENCE_SCHEMA
from corrstore.datasets.errors import BadInput
from corrstore.datasets.pairing.pairs import pair
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.samples.streams import refuse_mixtures

START = datetime(2020, 6, 2)
HOUR = timedelta(hours=1)


def recipe(lead: object = "shortest", window: str = "6h", forecast: dict | None = None):
    """Eight valid times, every three hours, of t2m and tp of one archive; or its forecasts."""
    grid = {"north": 32, "south": 30, "west": 102, "east": 104, "step": 0.5}
    side = {"source": "runs", "grid": grid, "channels": ["t2m", "tp"]}
    period = {"start": "2020-06-02T00", "end": "2020-06-03T00"}
    return recipe_from(
        {
            "name": "runs",
            **({"forecast": forecast} if forecast else {"period": {**period, "frequency": "3h"}}),
            "splits": {"train": {"start": "2020-06-02T00", "end": "2020-06-02T03"} if forecast else period},
            "sources": {"runs": {"type": "cma_gfs", "path": "unused", "lead": lead}},
            "input": {**side, "halo": 0},
            "target": side,
            "window": window,
        }
    )


def field(channel: str, run: datetime, lead: int, path: str = "a.grib2", **changes: object) -> dict:
    """The reference of a field: of tp the total since the start of the run."""
    time = run + lead * HOUR
    return {
        "channel": channel,
        "init_time": run,
        "valid_time": time,
        "window_start": run if channel == "tp" else None,
        "lead_time": lead * 3600,
        "expver": "",
        "path": path,
        "format": "grib",
        "offset": 0,
        **changes,
    }


def paired(fields: list[dict], **settings: object) -> tuple[dict[int, list[dict]], dict[str, int]]:
    """The rows of each sample, and the notes."""
    references = pa.Table.from_pylist(fields, schema=REFERENCE_SCHEMA)
    pairs, notes = pair(recipe(**settings), {"runs": Inventory(references, SOURCES_SCHEMA.empty_table(), [])})
    rows = defaultdict(list)
    for row in pairs.to_pylist():
        rows[row["index"]].append(row)
    return rows, notes


def leads_of(rows: list[dict]) -> set[int]:
    return {row["lead_time"] // 3600 for row in rows if row["sign"] and row["wanted"] == "t2m"}


schedules = st.lists(
    st.tuples(st.integers(-24, 21).map(lambda hour: hour // 3 * 3), st.sets(st.integers(0, 12), max_size=10)),
    max_size=6,
    unique_by=lambda run: run[0],
)


def fields_of(held: dict[int, set[int]]) -> list[dict]:
    """The fields of runs, by their hour from START, at the leads that each holds; none of tp at lead 0."""
    return [
        field(channel, START + hour * HOUR, lead)
        for hour, leads in held.items()
        for lead in leads
        for channel in (("t2m", "tp") if lead else ("t2m",))
    ]


@given(schedules, st.sampled_from(["3h", "6h", "12h"]))
def test_no_sample_has_fields_of_two_runs_and_no_window_is_short(schedule, window):
    fields = fields_of({hour: {3 * step for step in steps} for hour, steps in schedule})
    rows, _ = paired(fields, window=window)
    length = timedelta(hours=int(window[:-1]))
    for index, of_sample in rows.items():
        terms = [row for row in of_sample if row["sign"]]
        assert len({row["init_time"] for row in terms}) <= 1
        rain = [row for row in terms if row["wanted"] == "tp"]
        if rain:
            covered = sum((row["sign"] * (row["valid_time"] - row["window_start"]) for row in rain), timedelta())
            assert covered == length
            assert {row["valid_time"] for row in rain if row["sign"] == 1} == {START + 3 * index * HOUR}


@given(schedules)
def test_a_sample_is_whole_wherever_one_run_has_all_of_it(schedule):
    held = {hour: {3 * step for step in steps} for hour, steps in schedule}
    fields = fields_of(held)
    rows, _ = paired(fields)
    for index in range(8):
        whole = [
            3 * index - hour
            for hour, leads in held.items()
            if (lead := 3 * index - hour) in leads and (lead - 6 in leads or lead == 6)
        ]
        lacking = [row for row in rows[index] if row["sign"] == 0]
        assert bool(whole) == (not lacking)
        if whole:
            assert leads_of(rows[index]) == {min(whole)}


@given(schedules, st.sampled_from(["3h", "6h"]))
def test_a_forecast_has_the_fields_of_its_run_alone_and_lacks_what_the_run_lacks(schedule, window):
    held = {hour: {3 * step for step in steps} for hour, steps in schedule}
    fields = fields_of(held)
    inits = [START + hour * HOUR for hour in (-12, -6, 0)]
    forecast = {"inits": [str(init) for init in inits], "leads": {"first": "3h", "last": "18h"}}
    rows, _ = paired(fields, window=window, forecast=forecast)
    for index in range(18):
        init, lead = inits[index // 6], 3 * (index % 6 + 1)
        leads = held.get((init - START) // HOUR, set())
        found = {name: [row for row in rows[index] if row["sign"] and row["wanted"] == name] for name in ("t2m", "tp")}
        assert {row["init_time"] for each in found.values() for row in each} <= {init}
        assert bool(found["t2m"]) == (lead in leads)
        start = lead - int(window[:-1])
        assert bool(found["tp"]) == (lead in leads and (start == 0 or (start > 0 and start in leads)))


def two_runs() -> list[dict]:
    """Runs of 12 and 18 UTC the day before, whole up to lead 30 h."""
    return [
        field(channel, START - back * HOUR, lead)
        for back in (12, 6)
        for lead in range(0, 31, 3)
        for channel in (("t2m", "tp") if lead else ("t2m",))
    ]


@pytest.mark.parametrize(
    ("lead", "first", "last"),
    [
        ("shortest", 6, 27),
        ({"from": "12h"}, 12, 27),
        ({"from": "12h", "to": "17h"}, 12, 15),
        ({"runs": [12]}, 12, 30),
    ],
)
def test_the_recipe_says_which_runs_may_be_taken(lead, first, last):
    rows, _ = paired(two_runs(), lead=lead)
    taken = {index: leads_of(of_sample) for index, of_sample in rows.items()}
    leads = set().union(*taken.values())
    assert min(leads) == first and max(leads) == last
    assert all(len(each) <= 1 for each in taken.values())


def test_a_lead_that_is_not_allowed_is_named_with_the_runs_that_there_are():
    rows, _ = paired(two_runs(), lead={"from": "12h", "to": "17h"})
    reason = next(row["missing"] for row in rows[6] if row["wanted"] == "t2m")
    assert "sources.runs.lead allows (from 12h to 17h)" in reason
    assert "2020-06-01T18:00Z, 2020-06-01T12:00Z" in reason


def test_a_longer_lead_is_taken_where_the_shortest_lacks_a_field_and_told():
    fields = [
        each
        for each in two_runs()
        if (each["channel"], each["init_time"].hour, each["lead_time"]) != ("t2m", 18, 43200)
    ]
    rows, notes = paired(fields)
    assert leads_of(rows[2]) == {18} and leads_of(rows[1]) == {9}
    assert notes["valid times of runs not taken from the run of the shortest lead"] == 1
    assert notes["valid times of runs in several runs, one of which is taken"] == 7


def test_fields_that_belong_to_no_run_go_with_any():
    fields = [field("t2m", START + 3 * i * HOUR, 0) for i in range(8)]
    fields += [field("tp", START, 3 * i, init_time=None, window_start=START + (3 * i - 1) * HOUR) for i in range(1, 8)]
    rows, _ = paired(fields, window="1h")
    assert [sum(row["sign"] != 0 for row in rows[i]) for i in range(8)] == [1] + [2] * 7


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"centre": "ecmf"}, r"2 streams of t2m, of different centres:\n  centre ecmf: .*\n  no centre: .*"),
        ({"member": 3}, r"select: \{member: 3\}"),
        ({"generating_process": 7}, r"2 streams of t2m, of different generating processes:"),
    ],
)
def test_several_streams_of_one_run_are_refused_with_what_each_holds(changes, said):
    fields = [field("t2m", START, 3), field("t2m", START, 3, path="b.grib2", **changes)]
    if "generating_process" in changes:
        fields[0]["generating_process"] = 1
    with pytest.raises(BadInput, match=said):
        refuse_mixtures("runs", pa.Table.from_pylist(fields, schema=REFERENCE_SCHEMA))


def test_a_run_whose_leads_are_of_two_generating_processes_is_refused():
    fields = [field("tp", START, 3, generating_process=251), field("tp", START, 6, generating_process=250)]
    with pytest.raises(BadInput, match=r"2 streams of tp, of different generating processes:"):
        refuse_mixtures("runs", pa.Table.from_pylist(fields, schema=REFERENCE_SCHEMA))


def test_a_generating_process_may_change_from_run_to_run_and_after_the_analysis():
    fields = [field("t2m", START, 3, generating_process=1), field("t2m", START + 6 * HOUR, 3, generating_process=2)]
    fields.append(field("t2m", START, 0, generating_process=3))
    refuse_mixtures("runs", pa.Table.from_pylist(fields, schema=REFERENCE_SCHEMA))
    rows, _ = paired(fields)
    assert leads_of(rows[1]) == leads_of(rows[3]) == {3}
