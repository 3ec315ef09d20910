"""Training: what is learned, validated, stopped, resumed and shared among processes."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import threading
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from corrstore.datasets.errors import BadInput, CorrstoreError, DamagedData
from corrstore.datasets.grids.regrid import regridder
from corrstore.datasets.recipe.files import load_recipe
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.store.opening import open_store
from corrstore.training.evaluation.scoring.pixels import pixel_sums
from corrstore.training.learning.checkpoint import LAST, load_checkpoint, read_checkpoint
from corrstore.training.learning.launching import read_run_record, write_run_record
from corrstore.training.learning.learner import Learner, learning_rate
from corrstore.training.learning.models import regression_for
from corrstore.training.learning.plan import training_plan
from corrstore.training.learning.processes import SINGLE_PROCESS
from corrstore.training.learning.trainer import measure_throughput, planned_noise_levels, train
from corrstore.training.learning.validation import MEASURES, fair_crps, score, validate
from corrstore.training.patches.loader import Batch, Loader, split_order
from corrstore.training.run_config import run_config
from tests.brief_run import BRIEF_RUN
from tests.command import corrstore
from tests.conftest import brief_content, build_in_process
from tests.paths import SHARED, needs_shared
from tests.two_processes import gradients_of, one_of_two

CPU = torch.device("cpu")
SETTINGS = {**BRIEF_RUN, "patches": 24, "save_every": 16, "validate_every": 16}
CONFIG = run_config("regression", "demo", SETTINGS)
LONGER = CONFIG.model_copy(
    update={"patches": 240, "learning_rate": 1e-2, "ema_half_life": 40, "save_every": 240, "validate_every": 240}
)


@pytest.fixture(scope="module")
def runs(demo_store, tmp_path_factory):
    """The folders of a regression and a diffusion run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("runs")
    for stage in ("regression", "diffusion"):
        train(demo_store, run_config(stage, "demo", SETTINGS), folder / stage, below(folder, stage))
    return folder


@pytest.fixture(scope="module")
def learned(demo_store, tmp_path_factory):
    """The folder of a regression run long enough to have learned something."""
    folder = tmp_path_factory.mktemp("learned")
    train(demo_store, LONGER, folder)
    return folder


def below(folder, stage):
    return folder / "regression" if stage == "diffusion" else None


def weights(run) -> dict[str, torch.Tensor]:
    """All tensors of a run's last checkpoint."""
    content = read_checkpoint(run / LAST)
    found = {f"{kind} {name}": each for kind in ("model", "ema") for name, each in content[kind].items()}
    for number, moments in content["optimizer"]["state"].items():
        found |= {f"moment {number} {name}": each for name, each in moments.items()}
    return found


def assert_same_bits(run, other):
    one, two = weights(run), weights(other)
    assert one.keys() == two.keys()
    assert [name for name in one if not torch.equal(one[name], two[name])] == []


def test_an_untrained_regression_is_plain_interpolation_as_numpy_reckons_it(demo_store):
    config = CONFIG.model_copy(update={"patch": None})
    learner = Learner(config, demo_store, CPU)
    scores = validate(
        learner.trained(), Loader(demo_store, split_order(demo_store, "validation", config)), SINGLE_PROCESS
    )
    upsample = regridder(demo_store.grid("input"), demo_store.grid("target"))
    inside = np.flatnonzero(demo_store.recipe.splits.intervals["validation"].mask(demo_store.times))
    errors = {name: [] for name in demo_store.recipe.target.channels}
    for sample in inside:
        coarse, truth = demo_store.physical("input", sample), demo_store.physical("target", sample)
        for position, name in enumerate(errors):
            if name in demo_store.recipe.input.channels:
                field = coarse[demo_store.recipe.input.channels.index(name)].astype(np.float32)
                estimate = upsample(field).astype(np.float64)
            else:
                estimate = demo_store.plan.normalisations["target"][position].decode(np.zeros(1))
            errors[name].append(truth[position] - estimate)
    for name, error in errors.items():
        assert scores[name]["interpolation_mae"] == pytest.approx(np.abs(error).mean(), rel=5e-4)
        assert scores[name]["interpolation_rmse"] == pytest.approx(np.sqrt(np.square(error).mean()), rel=5e-4)
        rel = 5e-3 if name in demo_store.recipe.floors else 1e-3  # what is just above the floor is read as the floor
        assert scores[name]["mae"] == pytest.approx(scores[name]["interpolation_mae"], rel=rel)
        assert scores[name]["rmse"] == pytest.approx(scores[name]["interpolation_rmse"], rel=rel)
        assert scores[name]["crps"] == pytest.approx(scores[name]["mae"], rel=1e-6)


@given(st.integers(0, 99), st.integers(2, 6))
def test_the_crps_of_validation_is_that_of_the_scores(seed, count):
    random = np.random.default_rng(seed)
    members, truth = random.normal(size=(count, 3, 2)).astype(np.float32), random.normal(size=(3, 2))
    found = fair_crps(torch.from_numpy(members).double(), torch.from_numpy(truth))
    none, lots = np.empty(0), np.zeros(truth.shape)
    sums, _ = pixel_sums(members, truth, np.ones(3), lots, none, none, 11, (-np.inf, np.inf), None)
    assert float(found.sum()) == pytest.approx(float(sums.crps), abs=1e-12)


def test_a_regression_learns(demo_store, learned):
    with (learned / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["patches"]) for row in rows] == list(range(8, 241, 8))
    losses = [float(row["loss"]) for row in rows]
    assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:5])
    trained = load_checkpoint(learned, demo_store)
    scores = validate(trained, Loader(demo_store, split_order(demo_store, "train", trained.config)), SINGLE_PROCESS)
    assert np.mean([each["rmse"] / each["interpolation_rmse"] for each in scores.values()]) < 0.9


def test_a_signal_stops_it_after_an_update(demo_store, tmp_path):
    def send_signal_after_some_updates():
        log = tmp_path / "log.csv"
        while not over.is_set() and not (log.exists() and len(log.read_text().splitlines()) > 3):
            time.sleep(0.005)
        if not over.is_set():
            os.kill(os.getpid(), signal.SIGTERM)

    not_for_us, over = [], threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: not_for_us.append(True))
    try:
        sender = threading.Thread(target=send_signal_after_some_updates, daemon=True)
        sender.start()
        seen = train(demo_store, LONGER, tmp_path)
    finally:
        over.set()
        sender.join()
        signal.signal(signal.SIGTERM, before)
    assert 0 < seen < 240
    assert not_for_us == []
    assert read_checkpoint(tmp_path / LAST)["patches_seen"] == seen


@pytest.mark.parametrize("stage", ["regression", "diffusion"])
def test_stopped_after_every_update_it_comes_to_the_same_bits(demo_store, runs, tmp_path, stage):
    config = run_config(stage, "demo", SETTINGS)
    stop = threading.Event()
    stop.set()
    seen = [train(demo_store, config, tmp_path, below(runs, stage), stop=stop) for _ in range(3)]
    assert seen == [8, 16, 24]
    assert_same_bits(tmp_path, runs / stage)
    for name in ("validation.csv", "shares.csv"):
        assert (tmp_path / name).read_text() == (runs / stage / name).read_text()


def test_the_log_has_the_loss_as_a_share_of_predicting_nothing(demo_store, runs):
    """A regression's shares before its first update are 1; a denoiser's lie in the range of its noise levels."""
    learner = Learner(CONFIG.model_copy(update={"dropout": 0.0}), demo_store, CPU)
    batches = list(Loader(demo_store, split_order(demo_store, "train", CONFIG)).batches([(0, 4), (4, 8)]))
    learner.measure_residual_scale(batches)
    learner.accumulate(batches)
    shares = list(learner.shares.shares())
    assert [(each.channel, each.wavelength) for each in shares[:4]] == [("t2m", each) for each in (2, 4, 8, 16)]
    assert [each.share for each in shares] == pytest.approx([1] * len(shares), rel=1e-4)
    assert list(learner.shares.shares()) == []
    with (runs / "diffusion" / "shares.csv").open() as file:
        rows = list(csv.DictReader(file))
    levels = load_checkpoint(runs / "diffusion", demo_store).noise_levels
    assert min(float(row["sigma_from"]) for row in rows) >= levels.sigma_min * 0.999
    assert max(float(row["sigma_to"]) for row in rows) <= levels.sigma_max * 1.001
    rows.sort(key=lambda row: float(row["sigma_from"]))
    third = len(rows) // 3
    low, high = ([float(row["share"]) for row in part] for part in (rows[:third], rows[-third:]))
    assert np.mean(low) < np.mean(high)


def test_a_diffusion_is_validated_before_its_first_update_and_the_best_weights_are_kept(runs):
    """Before it is trained it is the Wiener filter, so that training cannot leave something worse in best.pt."""
    for stage, first in (("regression", 16), ("diffusion", 0)):
        scores = {}
        with (runs / stage / "validation.csv").open() as file:
            for row in csv.DictReader(file):
                measures = {name: float(row[name]) for name in MEASURES}
                scores.setdefault(int(row["patches"]), {})[row["channel"]] = measures
        assert next(iter(scores)) == first
        assert read_checkpoint(runs / stage)["patches_seen"] == min(scores, key=lambda clock: score(scores[clock]))


def test_after_a_crash_it_goes_on_from_the_last_checkpoint_to_the_same_bits(demo_store, runs, tmp_path):
    shutil.copytree(demo_store.folder.path(), tmp_path / "store")
    store = open_store(str(tmp_path / "store"))
    draws = split_order(store, "train", CONFIG).draws(0, 24)
    shard = tmp_path / "store" / store.plan.shard_key("target", draws[23].sample)
    whole = shard.read_bytes()
    stop = threading.Event()
    stop.set()
    for _ in range(2):
        train(store, CONFIG, tmp_path / "run", stop=stop)
    shard.write_bytes(whole[:100])
    with pytest.raises(DamagedData, match="has 100 bytes, not"):
        train(store, CONFIG, tmp_path / "run")
    shard.write_bytes(whole)
    assert train(store, CONFIG, tmp_path / "run") == 24
    assert_same_bits(tmp_path / "run", runs / "regression")
    with (tmp_path / "run" / "log.csv").open() as file:
        assert [int(row["patches"]) for row in csv.DictReader(file)] == [8, 16, 24]


def test_a_run_of_other_settings_is_refused_with_what_differs(demo_store, runs):
    other = CONFIG.model_copy(update={"learning_rate": 1.0, "seed": 5})
    with pytest.raises(BadInput) as refusal:
        train(demo_store, other, runs / "regression")
    assert f"learning_rate: began with {CONFIG.learning_rate}, now 1.0" in str(refusal.value)
    assert "seed: began with 0, now 5" in str(refusal.value)
    assert train(demo_store, CONFIG.model_copy(update={"prefetch": 9}), runs / "regression") == 24


def test_a_folder_that_holds_something_else_is_refused_and_left_alone(demo_store, tmp_path):
    refusals = {"config.json": "config.json, and no run of corrstore", "zarr.json": "zarr.json, and no run"}
    for name, message in {**refusals, "log.csv": "log.csv is damaged .it has other columns"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text("{}")
        with pytest.raises((BadInput, DamagedData), match=message):
            train(demo_store, CONFIG, tmp_path / name)
        assert (tmp_path / name / name).read_text() == "{}"


def test_a_run_without_checkpoints_begins_anew_also_where_its_record_is_damaged(demo_store, runs, tmp_path):
    run = Path(shutil.copytree(runs / "regression", tmp_path / "run"))
    (run / LAST).unlink()
    (run / "config.json").write_bytes(b"\0" + (run / "config.json").read_bytes()[1:])
    assert train(demo_store, CONFIG, run) == 24
    assert_same_bits(run, runs / "regression")


@pytest.mark.parametrize(
    ("stage", "regression", "message"),
    [
        ("diffusion", None, "needs --regression"),
        ("diffusion", "diffusion", "is a diffusion run"),
        ("regression", "regression", "needs no --regression"),
    ],
)
def test_a_stage_without_what_it_needs_is_refused(demo_store, runs, tmp_path, stage, regression, message):
    path = regression and runs / regression
    with pytest.raises(BadInput, match=message):
        train(demo_store, run_config(stage, "demo", SETTINGS), tmp_path, path)


def test_a_run_begins_with_the_averaged_weights_of_another_and_a_clock_of_its_own(demo_store, runs, tmp_path):
    slow = CONFIG.model_copy(update={"patches": 2 * CONFIG.batch, "learning_rate": 1e-12})
    assert train(demo_store, slow, tmp_path / "run", start=runs / "regression") == 2 * CONFIG.batch
    there = read_checkpoint(runs / "regression")["ema"]
    content = read_checkpoint(tmp_path / "run" / LAST)
    assert content["patches_seen"] == 2 * CONFIG.batch
    for kind in ("model", "ema"):
        for name, value in content[kind].items():
            torch.testing.assert_close(value, there[name], rtol=0, atol=1e-8)
    assert train(demo_store, slow, tmp_path / "run") == 2 * CONFIG.batch
    assert read_run_record(tmp_path / "run").begun_from == str(runs / "regression")
    with pytest.raises(BadInput, match=f"began with the weights of {runs / 'regression'}, now --from is {tmp_path}"):
        train(demo_store, slow, tmp_path / "run", start=tmp_path)
    (tmp_path / "run" / LAST).unlink()  # as where it was killed before its first checkpoint: it begins anew
    train(demo_store, slow, tmp_path / "run")
    assert read_run_record(tmp_path / "run").begun_from is None


def test_a_diffusion_of_the_interpolations_error_needs_no_regression(demo_store, runs, tmp_path):
    config = run_config("diffusion", "demo", SETTINGS | {"base": "interpolation"})
    assert planned_noise_levels(demo_store, config, None).sigma_max > 0
    train(demo_store, config, tmp_path)
    trained = load_checkpoint(tmp_path, demo_store)
    loader = Loader(demo_store, split_order(demo_store, "validation", trained.config))
    batch = next(loader.batches([(0, 2)]))
    condition = trained.features.condition(batch.input, batch.patches)
    predicted = trained.prediction(condition)
    torch.testing.assert_close(predicted.mean, trained.regression.residual(condition))
    assert (predicted.spread == 1).all()
    with pytest.raises(BadInput, match="base=interpolation needs no --regression"):
        train(demo_store, config, tmp_path / "both", runs / "regression")


@pytest.mark.parametrize(
    ("stage", "changes", "message"),
    [
        ("regression", {"predicted_outright": ["t2m"]}, r"predicted_outright \[\], here \['t2m'\]; begin from another"),
        ("regression", {"size": "small"}, "size tiny, here small"),
        ("diffusion", {}, "stage regression, here diffusion"),
    ],
)
def test_weights_of_another_network_are_no_beginning(demo_store, runs, tmp_path, stage, changes, message):
    config = run_config(stage, "demo", SETTINGS | changes)
    parent = runs / "regression" if stage == "diffusion" else None
    with pytest.raises(BadInput, match=message):
        train(demo_store, config, tmp_path / "run", parent, start=runs / "regression")
    assert not (tmp_path / "run").exists()


def test_two_processes_give_the_gradients_of_one_and_exchange_them_once(demo_store, runs, tmp_path):
    meeting = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    paths = demo_store.folder.path(), runs / "regression", tmp_path
    start = {"nprocs": 2, "start_method": "forkserver"}  # whose preloading imports what both need once
    torch.multiprocessing.start_processes(one_of_two, (meeting.port, SETTINGS, *paths), **start)
    for stage in ("regression", "diffusion"):
        alone, loss, none = gradients_of(
            stage, SETTINGS, demo_store, runs / "regression", SINGLE_PROCESS, micro_batch=4
        )
        assert none == []
        for rank in (0, 1):
            shared, shared_loss, exchanges = torch.load(tmp_path / f"{stage}{rank}.pt")
            assert shared_loss == pytest.approx(loss, rel=1e-5)
            assert len(exchanges) == len(set(exchanges)) >= 1
            assert_close(shared, alone)


def test_accumulated_gradients_are_those_of_the_whole_batch(demo_store, runs):
    whole, parts = (
        gradients_of("diffusion", SETTINGS, demo_store, runs / "regression", SINGLE_PROCESS, micro_batch=size)
        for size in (8, 1)
    )
    assert parts[1] == pytest.approx(whole[1], rel=1e-5)
    assert_close(parts[0], whole[0])


def assert_close(gradients, expected):
    for one, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5 * max(1.0, float(other.abs().max())))


@pytest.mark.parametrize("stage", ["regression", "diffusion"])
def test_where_the_target_is_missing_nothing_is_learned(demo_store, runs, stage):
    parent = load_checkpoint(runs / "regression", demo_store) if stage == "diffusion" else None
    learner = Learner(run_config(stage, "demo", SETTINGS), demo_store, CPU, parent)
    loader = Loader(demo_store, split_order(demo_store, "train", CONFIG))
    (batch,) = loader.batches([(0, 4)])
    learner.measure_residual_scale([batch])
    whole = learner.residual_scale
    batch.target[:, :, 3:5, 2:9] = torch.nan
    learner.measure_residual_scale([batch])
    assert learner.residual_scale.std.isfinite().all()
    assert not torch.equal(learner.residual_scale.std, whole.std)
    assert learner.loss(batch).isfinite()
    learner.residual_scale = whole
    batch.target[2:] = torch.nan
    half = Batch(batch.first, batch.draws[:2], batch.input[:2], batch.target[:2])
    assert learner.loss(batch).item() == pytest.approx(learner.loss(half).item(), rel=1e-5)
    batch.target[:] = torch.nan
    learner.model.zero_grad()
    nothing = learner.loss(batch)
    nothing.backward()
    assert nothing == 0
    assert all(not each.grad.any() for each in learner.model.parameters() if each.grad is not None)


def test_uneven_gaps_count_by_pixels_however_a_batch_is_divided(demo_store):
    """The gradient of a batch with gaps in its first patches is that of the mean over all known pixels."""
    gradients = []
    for size in (8, 2):
        config = CONFIG.model_copy(update={"micro_batch": size, "dropout": 0.0})
        learner = Learner(config, demo_store, CPU)
        batches = list(
            Loader(demo_store, split_order(demo_store, "train", config)).batches(islice(learner.spans(), 8 // size))
        )
        learner.measure_residual_scale(batches)
        for batch in batches:
            batch.target[: max(0, 4 - batch.first)] = torch.nan
        loss = learner.accumulate(batches)
        gradients.append([loss.float(), *(each.grad for each in learner.model.parameters() if each.grad is not None)])
    assert_close(gradients[1], gradients[0])


def test_a_gradient_that_is_not_finite_ends_the_run(demo_store):
    learner = Learner(CONFIG, demo_store, CPU)
    loader = Loader(demo_store, split_order(demo_store, "train", CONFIG))
    learner.measure_residual_scale(loader.batches([(0, 4)]))
    with torch.no_grad():
        learner.model.network.last.bias.fill_(torch.inf)
    with pytest.raises(CorrstoreError, match="gradient after 0 patches is not finite"):
        learner.update(loader.batches(learner.spans()))


def test_bfloat16_is_for_the_arithmetic_alone(demo_store, tmp_path):
    settings = {**SETTINGS, "patches": 16, "precision": "bfloat16"}
    train(demo_store, run_config("regression", "demo", settings), tmp_path)
    assert {each.dtype for each in weights(tmp_path).values() if each.is_floating_point()} == {torch.float32}


def test_several_patches_of_a_sample_and_whole_fields_train(demo_store, tmp_path):
    several = {**SETTINGS, "patches": 16, "patches_per_sample": 4}
    assert train(demo_store, run_config("regression", "demo", several), tmp_path / "several") == 16
    whole = {**SETTINGS, "patches": 8, "patch": None}
    assert train(demo_store, run_config("regression", "demo", whole), tmp_path / "whole") == 8


def test_a_store_without_validation_trains_and_says_so_once(archive, tmp_path):
    build_in_process(recipe_from(brief_content(archive)), tmp_path / "store")
    settings = [f"--set={key}={json.dumps(value)}" for key, value in SETTINGS.items()]
    words = ["train", "--store", tmp_path / "store", "--preset", "demo", "--output", tmp_path / "run", *settings]
    ended = corrstore(*words)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.count("the store has no validation split") == 1
    assert load_checkpoint(tmp_path / "run", open_store(str(tmp_path / "store"))).patches_seen == 24


def test_the_learning_rate_rises_and_falls():
    config = run_config("regression", "demo", {"learning_rate": 1.0, "warmup": 80, "patches": 1080, "batch": 8})
    rates = [learning_rate(config, seen) for seen in range(0, 1081, 8)]
    assert rates[0] == pytest.approx(8 / 88)
    assert rates[10] == 1.0
    assert np.argmax(rates) == 10
    assert np.all(np.diff(rates[10:]) < 0)
    assert rates[-1] == pytest.approx(0.01)
    assert learning_rate(config, 580) == pytest.approx((1 + 0.01) / 2)


def test_a_weight_for_no_channel_is_refused(demo_store):
    config = CONFIG.model_copy(update={"channel_weights": {"vis": 2.0}})
    with pytest.raises(BadInput, match="channel_weights names vis, but the targets are t2m"):
        Learner(config, demo_store, CPU)


def test_a_plan_tells_parameters_and_bytes_before_anything_is_read(demo_store):
    plan = training_plan(demo_store, CONFIG)
    model = regression_for(CONFIG, demo_store.attributes["fingerprint_fields"])
    assert plan.parameters == sum(each.numel() for each in model.parameters())
    assert (plan.samples, plan.skipped, plan.patches, plan.patch) == (8, 0, 24, (16, 16))
    assert plan.bytes_read == 24 * plan.bytes_read_a_patch
    assert plan.bytes_from_disk < plan.bytes_read
    assert plan.memory_activations > plan.bytes_used_a_patch
    four_times = training_plan(demo_store, CONFIG.model_copy(update={"patch": (32, 32)}))
    assert four_times.memory_activations == pytest.approx(4 * plan.memory_activations, rel=0.1)
    again = training_plan(demo_store, CONFIG.model_copy(update={"recompute": True}))
    assert plan.memory_activations / 5 < again.memory_activations < plan.memory_activations / 2


def test_the_plan_of_a_diffusion_has_the_noise_levels_of_the_run_and_settings_have_their_way(demo_store, runs):
    config = run_config("diffusion", "demo", {**SETTINGS, "noise_levels": "log-uniform"})
    levels = planned_noise_levels(demo_store, config, runs / "regression")
    trained = load_checkpoint(runs / "diffusion", demo_store).noise_levels
    assert levels == replace(trained, distribution="log-uniform")
    assert training_plan(demo_store, config, levels).facts["noise levels"].endswith(", log-uniform")
    fixed = config.model_copy(update={"sigma_max": 7.0})
    assert planned_noise_levels(demo_store, fixed, runs / "regression") == replace(levels, sigma_max=7.0)


def test_the_command_plans_trains_and_goes_on(demo_store, tmp_path):
    settings = [f"--set={key}={list(value) if isinstance(value, tuple) else value}" for key, value in SETTINGS.items()]
    command = ["train", "--store", demo_store.folder.path(), "--preset", "demo", "--output", str(tmp_path), *settings]
    planned = corrstore(*command, "--plan")
    assert "parameters" in planned.stdout
    assert list(tmp_path.iterdir()) == []
    planned = corrstore(*command, "--plan", "--json")
    assert json.loads(planned.stdout)["samples"] == 8
    for _ in range(2):
        ended = corrstore(*command, "--json")
        assert json.loads(ended.stdout) == {
            **{"run": str(tmp_path), "store": demo_store.folder.url, "stage": "regression"},
            **{"patches_seen": 24, "patches": 24},
        }
        assert read_checkpoint(tmp_path / LAST)["patches_seen"] == 24


def test_the_meter_of_a_run(demo_store):
    found = measure_throughput(demo_store, CONFIG, updates=2)
    assert min(found.loader_alone, found.step_alone, found.both) > 0
    assert 0 <= found.stalled_share <= 1


@needs_shared
@pytest.mark.slow
def test_real_hrrr_trains_both_stages_end_to_end(tmp_path):
    recipe = load_recipe("hrrr_rme", [f"sources.hrrr.path={SHARED / 'km' / 'hrrr_rme_hourly'}"])
    build_in_process(recipe, tmp_path / "store")
    store = open_store(str(tmp_path / "store"))
    settings = {**SETTINGS, "patches": 1600, "learning_rate": 5e-3, "ema_half_life": 100, "validate_every": 400}
    for stage in ("regression", "diffusion"):
        train(store, run_config(stage, "demo", settings), tmp_path / stage, below(tmp_path, stage))
    trained = load_checkpoint(tmp_path / "diffusion", store)
    scores = validate(trained, Loader(store, split_order(store, "validation", trained.config)), SINGLE_PROCESS)
    better = [name for name, each in scores.items() if each["crps"] < each["interpolation_mae"]]
    assert len(better) > len(scores) / 2


@pytest.mark.parametrize("kind", ["pipe", "folder", "link"])
def test_what_is_no_file_in_the_place_of_a_log_is_refused(demo_store, tmp_path, kind):
    """None waits for a pipe, and nothing is written through a link."""
    (run := tmp_path / "run").mkdir()
    (outside := tmp_path / "outside.csv").write_text("mine")
    place = run / "validation.csv"
    write_run_record(run, demo_store, CONFIG, None)
    {"pipe": os.mkfifo, "folder": Path.mkdir, "link": lambda path: path.symlink_to(outside)}[kind](place)
    with pytest.raises(DamagedData, match=r"validation\.csv is a folder, a link or a pipe"):
        train(demo_store, CONFIG, run)
    assert outside.read_text() == "mine"
