"""A forecast beside a baseline whose growing error is known: what the verdict must find, by lead, region and run."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import norm

from corrstore.datasets.errors import BadInput
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.recipe.periods import format_time
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.synthetic.forecasts.errors import FORECAST_ERRORS
from corrstore.datasets.variables.channels import channel_named
from corrstore.training.evaluation.agenda import make_agenda
from corrstore.training.evaluation.evaluate import evaluate
from corrstore.training.evaluation.pages.report import lowest_predictors, write_evaluation_report
from corrstore.training.evaluation.pages.scorecard import cards, crossing
from corrstore.training.evaluation.predictors.comparison import compare
from corrstore.training.evaluation.predictors.names import ENSEMBLE, MEAN, PERSISTENCE, REGRESSION, WHITE
from corrstore.training.evaluation.predictors.regions import read_regions
from corrstore.training.evaluation.results import Evaluation
from corrstore.training.evaluation.scoring.tallies import Domain, merged, tally
from corrstore.training.forecasts.files import Forecast
from corrstore.training.forecasts.header import Header, Part
from tests.results import header_of

INITS = np.array(["2020-06-01T06", "2020-06-01T12", "2020-06-01T18", "2020-06-02T00"], "datetime64[s]")
LEADS = np.array([3, 6, 9, 12]).astype("timedelta64[h]")
GROWTH = FORECAST_ERRORS["cma_meso"].growth["t2m"]
OURS = 0.55
"""The error of the judged forecast, between those of the baseline at 6 and 9 h."""
GRID = RectilinearGrid.from_box(north=30.5, south=30.0, west=100.0, east=100.5, step=0.1)


def mean_absolute(lead):
    """The mean absolute error of CMA-MESO's t2m: that of a normal distribution which is not centred."""
    bias, deviation = GROWTH.bias_at(lead), GROWTH.deviation_at(lead)
    return deviation * np.sqrt(2 / np.pi) * np.exp(-((bias / deviation) ** 2) / 2) + bias * (
        1 - 2 * norm.cdf(-bias / deviation)
    )


def runs_of(store, url, error, inits=INITS):
    """A forecast of t2m without members: the truth and `error(init, lead)` at each pixel."""
    like = header_of(store, [11])
    times = [(init, lead) for init in inits for lead in LEADS]
    content = {
        **like.content,
        "times": [format_time(init + lead) for init, lead in times],
        "inits": [format_time(init) for init, _ in times],
        "members": 0,
        "channels": {"t2m": like.channels["t2m"]},
    }
    forecast = Forecast(Folder(url), Header(**content))
    forecast.create()
    for part in forecast.header.parts:
        init, lead = times[part.time]
        truth = store.physical("target", int(np.flatnonzero(store.times == init + lead)[0]))[:1]
        forecast.write(part, (truth + error(init, lead)).astype(np.float32))
    return forecast


@pytest.fixture(scope="module")
def folder(demo_store, tmp_path_factory):
    """The forecast `ours`, which is too warm in the west at 9 h alone, and the baseline `meso`."""
    folder, rng = tmp_path_factory.mktemp("verdict"), np.random.default_rng(3)
    shape = demo_store.grid("target").shape
    west = np.arange(shape[1]) < shape[1] // 2
    ours = lambda init, lead: OURS * rng.choice([-1, 1], shape) + 0.4 * west * (lead == LEADS[2])  # noqa: E731
    runs_of(demo_store, str(folder / "ours"), ours)
    meso = lambda init, lead: GROWTH.bias_at(lead) + GROWTH.deviation_at(lead) * rng.standard_normal(shape)  # noqa: E731
    runs_of(demo_store, str(folder / "meso"), meso)
    (folder / "regions.yaml").write_text("west: {box: [102, 31, 103.43, 33]}\neast: {box: [103.43, 31, 105, 33]}\n")
    return folder


@pytest.fixture(scope="module")
def found(demo_store, folder):
    """The evaluation of the two."""
    regions = read_regions(folder / "regions.yaml")
    return evaluate(
        demo_store.folder.url,
        str(folder / "ours"),
        baselines={"meso": str(folder / "meso")},
        regions=regions,
        persistence=True,
    )


def test_a_wrong_region_is_refused_before_anything_is_scored(demo_store, folder, tmp_path):
    path = tmp_path / "regions.yaml"
    path.write_text("west: {bx: [102, 31, 103, 33]}\n")
    with pytest.raises(BadInput, match=r"regions.yaml: region west:\n  bx: no such key.*it may be box"):
        read_regions(path)
    path.write_text("far: {box: [1, 2, 3, 4]}\n")
    compared = compare(demo_store.folder.url, str(folder / "ours"), regions=read_regions(path))
    with pytest.raises(BadInput, match=r"region far, box \(1.0, 2.0, 3.0, 4.0\), has no pixel of the domain"):
        make_agenda(compared)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{box: [106, 29, 103, 32]}", "got west 106, east 103"),
        ("{static: orog}", "a static channel and its bounds"),
        ("{at_least: 3}", "a static channel and its bounds"),
        ("{static: orog, at_least: 3000, below: 2000}", "at_least 3000 is not lower than below 2000"),
        ("{static: orog, at_least: .nan}", "a finite number"),
        ("{static: orog, at_least: true}", "a number"),
        ("{box: [west, 29, 106, 32]}", "a number"),
        ("{}", "give a box"),
    ],
)
def test_a_region_without_meaning_is_refused_with_file_and_name(tmp_path, text, message):
    path = tmp_path / "regions.yaml"
    path.write_text(f"basin: {text}\n")
    with pytest.raises(BadInput, match=rf"(?s)regions.yaml: region basin:.*{message}"):
        read_regions(path)


def test_the_error_growth_of_the_baseline_comes_out_by_lead(found):
    channel = found.channels[0]
    assert found.leads == ["3h", "6h", "9h", "12h"]
    for lead, name in zip(LEADS, found.leads, strict=True):
        assert found.score(channel, "meso", "bias", name).value == pytest.approx(GROWTH.bias_at(lead), abs=0.03)
        assert found.score(channel, "meso", "mae", name).value == pytest.approx(mean_absolute(lead), rel=0.03)
    assert {REGRESSION, WHITE, "meso", PERSISTENCE} <= set(found.predictors(channel))


def test_the_lead_from_which_the_forecast_is_better_comes_out(found):
    gains = found.gains(REGRESSION, "meso")
    assert [gain.value > 0 for gain in gains] == [False, False, True, True]
    for gain, lead in zip(gains, LEADS, strict=True):
        if lead != LEADS[2]:  # where a bias is planted
            assert gain.value == pytest.approx(1 - OURS / mean_absolute(lead), abs=0.04), lead
    (card, *_) = cards(found)
    assert (card.predictor, card.reference, crossing(card)) == (REGRESSION, "meso", [])
    turned = card._replace(rows=[(name, [each._replace(value=-each.value) for each in row]) for name, row in card.rows])
    assert crossing(turned) == ["t2m at 9h"]


def test_a_planted_bias_is_found_in_its_region_and_lead_and_nowhere_else(found):
    biases = {
        (row.region, row.lead): row.value
        for row in found.grouped_rows
        if (row.score, row.predictor, row.period) == ("bias", REGRESSION, "all") and row.region != "all"
    }
    assert biases.pop(("west", "9h")) == pytest.approx(0.4, abs=0.05)
    biases = {key: value for key, value in biases.items() if key != ("west", "all")}
    assert len(biases) == 8 and max(map(abs, biases.values())) < 0.05


def test_a_baseline_that_must_have_been_there_is_an_older_run(demo_store, folder, tmp_path):
    fields = {init: float(n) for n, init in enumerate(INITS)}
    runs_of(demo_store, str(tmp_path / "each"), lambda init, lead: fields[init])
    late = evaluate(
        demo_store.folder.url, str(folder / "ours"), baselines={"each": str(tmp_path / "each")}, match="available=6h"
    )
    # the second and later runs are compared with the run 6 h before, at leads that it has
    assert late.score(late.channels[0], "each", "bias", "3h").value == pytest.approx(1.0, abs=0.01)
    assert set(late.leads) == {"3h", "6h"} and any("each lacks" in note for note in late.notes)


def test_a_lead_of_a_single_run_is_named(demo_store, tmp_path):
    runs_of(demo_store, str(tmp_path / "one"), lambda init, lead: 1.0, INITS[:1])
    agenda = make_agenda(compare(demo_store.folder.url, str(tmp_path / "one")))
    assert not agenda.comparison.fitted
    assert any("samples at 3h, 6h, 9h, 12h without other runs at its lead" in note for note in agenda.notes)


@pytest.mark.parametrize("missing", [np.nan, np.inf])
def test_a_pixel_that_a_baseline_lacks_is_left_out_for_all_and_counted(demo_store, folder, tmp_path, missing):
    def holed(init, lead):
        return np.where(np.arange(demo_store.grid("target").shape[1]) < 2, missing, 1.0)

    runs_of(demo_store, str(tmp_path / "holed"), holed)
    lacking = evaluate(demo_store.folder.url, str(folder / "ours"), baselines={"holed": str(tmp_path / "holed")})
    height = demo_store.grid("target").shape[0]
    assert lacking.left_out["t2m", "holed"][0] == lacking.left_out["t2m", ""][0] == 2 * height * len(lacking.times)
    assert lacking.score(lacking.channels[0], "holed", "bias").value == pytest.approx(1.0, abs=0.01)


def test_the_report_of_runs_has_a_scorecard_and_what_it_must_say(demo_store, folder, found, tmp_path):
    agenda = make_agenda(compare(demo_store.folder.url, str(folder / "ours"), {"meso": str(folder / "meso")}))
    write_evaluation_report(found, agenda, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "regression <span>over meso</span>" in text and "CRPS by lead" in text
    assert "too few for an interval" in text and 'src="http' not in text
    assert not re.search(r'<td class="\w+ best"', text), "of four runs nothing is sure"
    rows = [row for row in found.grouped_rows if row.period == "all" and not np.isnan(row.value)]
    assert all(row.low is None and "too few for an interval" in row.reservation for row in rows)


def test_what_cannot_be_compared_is_refused(demo_store, folder):
    store, ours = demo_store.folder.url, str(folder / "ours")
    for settings, message in (
        ({"match": "available=6h"}, "give a --baseline"),
        ({"match": "newest"}, "--match newest: expected available=6h"),
        ({"match": "available=six"}, "--match available=six: 'six' is not a duration"),
        ({"baselines": {REGRESSION: ours}}, "another one"),
        ({"baselines": {"none": str(folder)}}, "no training store"),
    ):
        with pytest.raises(BadInput, match=message):
            make_agenda(compare(store, ours, **settings))


def test_a_bias_of_one_region_and_season_is_found_there_and_nowhere_else():
    """Errors of two seasons in three regions, alike from day to day; one region is too warm in summer."""
    days = np.datetime64("2020-03-01T00", "s") + np.arange(183) * np.timedelta64(1, "D")
    regions, rng, found = ("west", "middle", "east"), np.random.default_rng(8), {}
    truth = np.zeros(GRID.shape, np.float32)
    for region in regions:
        errors = lfilter([1.0], [1.0, -0.4], rng.standard_normal(days.size))
        if region == "middle":
            errors += 2.5 * (days >= np.datetime64("2020-06-01"))
        fields = errors[:, None, None, None].astype(np.float32) + truth
        found[region, "t2m", REGRESSION] = merged(tally(each, truth, Domain.of_grid(GRID)) for each in fields)
    found = {("all", *key[1:]): each for key, each in list(found.items())[:1]} | found
    nat = np.full(days.size, np.datetime64("NaT", "s"))
    evaluation = Evaluation([channel_named("t2m")], Domain.of_grid(GRID), days, nat, 0, found, {}, [], [])
    rows = [each for each in evaluation.biases(REGRESSION) if each.region in regions]
    sure = {(each.region, each.period) for each in rows if each.significant}
    summer = {("middle", each) for each in ("JJA", "month 06", "month 07", "month 08")}
    assert ("middle", "JJA") in sure and sure <= summer | {("middle", "all")}
    assert {each.period for each in rows} > {"all", "MAM", "JJA", "month 03"}
    written = evaluation.table.to_pylist()
    assert {(r["region"], r["period"]) for r in written if r["significant"] and r["region"] != "all"} == sure
    assert {r["score"] for r in written if r["significant"] is not None} == {"bias"}
    widths = [width_of_bias(replace(evaluation, block_days=days)) for days in (1, 20)]
    assert widths[1] > 1.5 * widths[0]


def test_the_lowest_score_is_bold_only_where_that_is_sure():
    """Absolute errors of three predictors, and of the mean of one: of t2m they differ by noise, of u10m one is half."""
    rng, units = np.random.default_rng(1), 60
    zeros = np.zeros((1, *GRID.shape), np.float32)
    alike = merged([tally(zeros, zeros[0], Domain.of_grid(GRID))] * units)
    times = np.datetime64("2020-06-01", "s") + np.arange(units) * np.timedelta64(86400, "s")
    channels, tallies = [channel_named(name) for name in ("t2m", "u10m")], {}
    for channel in channels:
        for predictor in (REGRESSION, ENSEMBLE, "meso"):
            errors = rng.gamma(9, 1 / 9, units) * (0.5 if (channel.name, predictor) == ("u10m", ENSEMBLE) else 1)
            tallies["all", channel.name, predictor] = replace(alike, absolute_error=errors * alike.weight)
        tallies["all", channel.name, MEAN] = tallies["all", channel.name, ENSEMBLE]
    nat = np.full(units, np.datetime64("NaT", "s"))
    evaluation = Evaluation(channels, Domain.of_grid(GRID), times, nat, 0, tallies, {}, ["meso"], [])
    assert lowest_predictors(evaluation) == {("u10m", "mae"): {MEAN, ENSEMBLE}}


def width_of_bias(evaluation):
    """The width of the interval of the bias of the region that is too warm in summer alone."""
    (bias,) = (each for each in evaluation.biases(REGRESSION) if each[1:4] == ("middle", "all", "all"))
    return float(bias.high - bias.low)


def test_the_lead_at_which_an_ensemble_stops_beating_the_baseline_comes_out(demo_store, folder, tmp_path):
    """Members that are like the truth have a CRPS of s / sqrt(pi), which grows faster here than the baseline's MAE."""

    def deviation(lead):
        return np.sqrt(np.pi) * 0.75 * mean_absolute(LEADS[0]) * float(lead / LEADS[0])

    runs = runs_of(demo_store, str(tmp_path / "mean"), lambda init, lead: 0.0)
    header = Header(**{**runs.header.content, "members": 4})
    ensemble, rng = Forecast(Folder(str(tmp_path / "ensemble")), header), np.random.default_rng(5)
    ensemble.create()
    for position in range(len(header.times)):
        lead = header.valid_times[position] - header.init_times[position]
        mean = runs.read(Part(position, None), "t2m") + deviation(lead) * rng.standard_normal(header.target_grid.shape)
        for member in (None, *range(4)):
            noise = deviation(lead) * rng.standard_normal(mean.shape) if member is not None else 0.0
            ensemble.write(Part(position, member), (mean + noise).astype(np.float32)[None])
    found = evaluate(demo_store.folder.url, ensemble.folder.url, baselines={"meso": str(folder / "meso")})
    card = next(each for each in cards(found) if each.reference == "meso")
    expected = [1 - deviation(lead) / np.sqrt(np.pi) / mean_absolute(lead) for lead in LEADS]
    assert expected[0] > 0 > expected[-1]
    lead = found.leads[next(k for k, gain in enumerate(expected) if gain <= 0)]
    assert (card.predictor, crossing(card)) == (ENSEMBLE, [f"t2m at {lead}"])
    assert [gain.value for gain in card.rows[0][1]] == pytest.approx(expected, abs=0.05)
