"""Two evaluations on the same samples: noise is no difference, a planted one is found, other samples are refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from corrstore.beam_pipelines.evaluation.evaluate import evaluate
from corrstore.beam_pipelines.spreading.spread import Runner
from corrstore.datasets.errors import BadInput, DamagedData
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.variables.channels import channel_named
from corrstore.training.evaluation.agenda import make_agenda
from corrstore.training.evaluation.pairs import Pair, paired
from corrstore.training.evaluation.predictors.comparison import compare
from corrstore.training.evaluation.predictors.names import REGRESSION
from corrstore.training.evaluation.results import Evaluation
from corrstore.training.evaluation.scoring.tallies import Domain, Tally
from corrstore.training.evaluation.sums import SumsRecord, read_sums
from corrstore.training.forecasts.files import Forecast
from corrstore.training.forecasts.header import Header
from tests.command import corrstore
from tests.conftest import QUIET
from tests.results import header_of

CHANNELS = ("t2m", "u10m")


def scored(store, folder, seed, times, louder=1.0):
    """The evaluation of a regression whose error is noise of that seed, `louder` for t2m."""
    like = header_of(store, times)
    content = {
        **like.content,
        "members": 0,
        "channels": {name: like.channels[name] for name in CHANNELS},
        "settings": {**like.settings, "seed": seed},
    }
    forecast = Forecast(Folder(f"{folder}-forecast"), Header(**content))
    forecast.create()
    rng, names = np.random.default_rng(seed), store.recipe.channel_names("target")
    for part in forecast.header.parts:
        truth = store.physical("target", times[part.time])[[names.index(name) for name in CHANNELS]]
        noise = rng.standard_normal(truth.shape) * rng.uniform(0.8, 1.2) * np.array([louder, 1.0])[:, None, None]
        forecast.write(part, (truth + noise).astype(np.float32))
    agenda = make_agenda(compare(store.folder.url, forecast.folder.url))
    evaluate(agenda, Folder(str(folder)), Runner(workers=1), QUIET)
    return str(folder)


@pytest.fixture(scope="module")
def folders(demo_store, tmp_path_factory):
    """Evaluations: A, another noise of the same kind, one that is louder, one of other times, and of another truth."""
    base = tmp_path_factory.mktemp("pairs")
    times = np.flatnonzero(demo_store.valid).tolist()
    return {
        "a": scored(demo_store, base / "a", 1, times[:12]),
        "null": scored(demo_store, base / "null", 2, times[2:]),
        "louder": scored(demo_store, base / "louder", 3, times[2:], louder=1.5),
        "later": scored(demo_store, base / "later", 4, times[-2:]),
    }


def test_another_noise_is_no_difference_and_a_louder_one_is(folders):
    null = paired(folders["a"], folders["null"])
    assert not any(each.significant for each in null.differences) and "significantly better in 0" in null.verdict[0]
    assert len(null.a.times) == 10
    found = {each.channel: each for each in paired(folders["a"], folders["louder"]).differences if each.period == "all"}
    assert found["t2m"].significant and found["t2m"].b / found["t2m"].a == pytest.approx(1.5, rel=0.1)
    assert not found["u10m"].significant and found["t2m"].low < found["t2m"].difference < found["t2m"].high
    assert found["t2m"].difference == pytest.approx(found["t2m"].b - found["t2m"].a)
    back = {each.channel: each for each in paired(folders["louder"], folders["a"]).differences if each.period == "all"}
    assert back["t2m"].difference == pytest.approx(-found["t2m"].difference) and back["t2m"].significant
    same = paired(folders["a"], folders["a"]).differences
    assert all(each.difference == 0 and not each.significant for each in same)


def test_a_null_is_significant_no_more_often_than_it_may_be():
    """In 200 pairs of 3 channels of noise that both share, and each its own."""
    rng, found, units = np.random.default_rng(0), 0, 30
    names = [each.name for each in fields(Tally)]
    channels = [channel_named(name) for name in ("t2m", "u10m", "sp")]
    domain = Domain.of_grid(RectilinearGrid(np.arange(30.0, 33), np.arange(100.0, 103)))
    for _ in range(200):
        both = rng.gamma(4, size=(3, units))
        sides = []
        for _ in range(2):
            tallies = {}
            for channel, shared in zip(channels, both, strict=True):
                sums = {**dict.fromkeys(names, np.zeros(units)), "weight": np.ones(units)}
                sums["crps"] = shared + rng.gamma(4, size=units)
                tallies["all", channel.name, REGRESSION] = Tally(**sums)
            times = np.datetime64("2020-06-01", "s") + np.arange(units) * np.timedelta64(86400, "s")
            inits = np.full(units, np.datetime64("NaT", "s"))
            sides.append(Evaluation(channels, domain, times, inits, 0, tallies, {}, [], []))
        found += any(each.significant for each in Pair(None, *sides, REGRESSION, "crps").differences)
    assert found <= 200 * 0.05 + 3 * np.sqrt(200 * 0.05 * 0.95)


def test_what_cannot_be_paired_is_refused_in_one_line(folders, tmp_path):
    for other, message in ((folders["later"], "no sample is in both"), (str(tmp_path), "no evaluation at")):
        with pytest.raises(BadInput, match=message):
            paired(folders["a"], other)
    with pytest.raises(BadInput, match="no channel of predictor 'persistence' is in both; they share"):
        paired(folders["a"], folders["null"], "persistence")
    with pytest.raises(BadInput, match="none that has one number"):
        paired(folders["a"], folders["null"], score="fss")
    with pytest.raises(BadInput, match="the regression has no spread_skill in any channel"):
        paired(folders["a"], folders["null"], REGRESSION, "spread_skill")
    with pytest.raises(BadInput, match="more or less spread is neither better nor worse"):
        paired(folders["a"], folders["null"], score="spread")
    content = json.loads(Path(folders["a"], "evaluation.json").read_text())
    (tmp_path / "evaluation.json").write_text(json.dumps({**content, "grid": {}}))
    with pytest.raises(DamagedData, match="evaluate again"):
        paired(str(tmp_path), folders["a"])
    ended = corrstore("compare", folders["a"], folders["later"])
    assert ended.returncode == 2 and ended.stderr.count("\n") == 1


def test_another_truth_is_refused(folders, tmp_path):
    shutil.copytree(folders["null"], tmp_path / "other")
    (file,) = list((tmp_path / "other").glob("records/*/scores/*"))[:1]
    key = file.name.removesuffix(".parquet")
    record = read_sums(Folder(str(file.parent.parent)), "scores", key)
    for name, sums in record.sums.items():
        if name[3] == "truth_spectrum":
            record.sums[name] = sums * 1.1
    file.write_bytes(record.to_bytes())
    with pytest.raises(BadInput, match=f"at {key} is not the same in both: other pixels or another truth"):
        paired(folders["null"], str(tmp_path / "other"))


def test_an_evaluation_of_another_form_is_refused_in_one_line(folders, tmp_path):
    content = json.loads(Path(folders["a"], "evaluation.json").read_text())
    for form in ({**content, "form": content["form"] - 1}, {k: v for k, v in content.items() if k != "form"}):
        (tmp_path / "evaluation.json").write_text(json.dumps(form))
        with pytest.raises(BadInput, match="of another version of corrstore; evaluate again"):
            paired(str(tmp_path), folders["a"])


def seasonal(days, planted, region="west"):
    """Two sides of an evaluation of two regions, alike but for noise; B is worse in summer in one region."""
    rng, names = np.random.default_rng(3), [each.name for each in fields(Tally)]
    channels = [channel_named(name) for name in ("t2m", "u10m")]
    domain = Domain.of_grid(RectilinearGrid(np.arange(30.0, 33), np.arange(100.0, 103)))
    times = np.datetime64("2020-03-01", "s") + np.arange(days) * np.timedelta64(86400, "s")
    summer = times >= np.datetime64("2020-06-01")
    sides = []
    for side in range(2):
        tallies = {}
        for place in ("all", "west", "east"):
            for channel in channels:
                sums = {**dict.fromkeys(names, np.zeros(days)), "weight": np.ones(days)}
                sums["crps"] = rng.gamma(40, 1 / 40, days)
                if side and place == region and channel.name == "t2m":
                    sums["crps"] += planted * summer
                tallies[place, channel.name, REGRESSION] = Tally(**sums)
        inits = np.full(days, np.datetime64("NaT", "s"))
        sides.append(Evaluation(channels, domain, times, inits, 0, tallies, {}, [], []))
    return Pair(None, *sides, REGRESSION, "crps")


def test_a_loss_in_one_region_and_season_is_found_in_those_rows_and_in_no_other():
    rows = seasonal(184, 0.3).differences
    sure = {(each.region, each.period, each.channel) for each in rows if each.significant}
    assert ("west", "JJA", "t2m") in sure
    assert sure <= {("west", period, "t2m") for period in ("all", "JJA", "month 06", "month 07", "month 08")}
    assert {each.period for each in rows} > {"all", "MAM", "JJA", "month 03"} and {each.lead for each in rows} == {
        "all"
    }
    (june,) = (each for each in rows if each[:4] == ("west", "all", "month 06", "t2m"))
    assert june.difference == pytest.approx(0.3, abs=0.1)
    assert all(bool(each.reservation) == (each.effective < 30) for each in rows)
    assert any(each.reservation for each in rows)
    assert not any(each.significant for each in seasonal(184, 0.0).differences)


def test_regions_of_one_name_and_other_bounds_are_refused(folders, tmp_path):
    content = json.loads(Path(folders["a"], "evaluation.json").read_text())
    for name, share in (("one", 0.5), ("other", 0.4)):
        place = tmp_path / name / content["place"]
        place.mkdir(parents=True)
        for key in content["keys"]:
            record = read_sums(Folder(folders["a"]), content["place"], key)
            part = {("west", *k[1:]): v * share for k, v in record.sums.items() if k[0] == "all"}
            (place / f"{key}.parquet").write_bytes(SumsRecord(key, record.sums | part).to_bytes())
        (tmp_path / name / "evaluation.json").write_text(json.dumps(content))
    assert {each.region for each in paired(folders["a"], str(tmp_path / "one")).differences} == {"all"}
    assert {each.region for each in paired(*[str(tmp_path / "one")] * 2).differences} == {"all", "west"}
    with pytest.raises(BadInput, match=r"in region west at .* is not the same in both"):
        paired(str(tmp_path / "one"), str(tmp_path / "other"))


def test_the_command_prints_the_table_or_json_and_writes_a_page(folders, tmp_path):
    page = tmp_path / "pair.html"
    ended = corrstore("compare", folders["a"], folders["louder"], "--output", page)
    assert ended.returncode == 0 and "significantly worse in 1" in ended.stdout and "●" in ended.stdout
    text = page.read_text()
    assert "SYNTHETIC" in text and text.count("●") == 1 and 'src="http' not in text
    description = Path(shutil.copytree(folders["a"], tmp_path / "a")) / "evaluation.json"
    ended = corrstore("compare", tmp_path / "a", folders["louder"], "--output", description)
    assert ended.returncode == 2 and "evaluation.json is there and is no page" in ended.stderr
    next(description.parent.glob("records/*/scores/*")).unlink()
    ended = corrstore("compare", description.parent, folders["louder"])
    assert ended.returncode == 1 and "give the command that made" in ended.stderr
    ended = corrstore("compare", folders["a"], folders["louder"], "--json", "--score", "rmse")
    rows = {row["channel"]: row for row in json.loads(ended.stdout) if row["period"] == "all"}
    assert rows["t2m"]["significant"] and set(rows) == set(CHANNELS)
