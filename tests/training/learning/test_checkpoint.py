"""Checkpoints: what comes back, and what is refused by name."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
import torch

from corrstore.datasets.errors import BadInput, DamagedData, OutOfResources
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.store.opening import open_store
from corrstore.training.learning.checkpoint import BEST, LAST, load_checkpoint, read_checkpoint, write_checkpoint
from corrstore.training.learning.run_log import RunLog
from corrstore.training.learning.trainer import train
from corrstore.training.learning.validation import MEASURES
from corrstore.training.patches.loader import Loader, split_order
from corrstore.training.patches.patches import Patch
from corrstore.training.run_config import run_config
from tests.brief_run import BRIEF_RUN
from tests.conftest import SHAPE, build_in_process
from tests.full_disk import no_file_larger_than

SETTINGS = {**BRIEF_RUN, "patches": 16}


@pytest.fixture(scope="module")
def regression_run(demo_store, tmp_path_factory):
    """The folder of a finished, very short regression run."""
    folder = tmp_path_factory.mktemp("regression")
    assert train(demo_store, run_config("regression", "demo", SETTINGS), folder) == 16
    return folder


@pytest.fixture(scope="module")
def diffusion_run(demo_store, regression_run, tmp_path_factory):
    """The folder of a finished, very short diffusion run."""
    folder = tmp_path_factory.mktemp("diffusion")
    train(demo_store, run_config("diffusion", "demo", SETTINGS), folder, regression_run)
    return folder


def test_a_run_comes_back_with_what_it_was_trained_by(demo_store, regression_run, diffusion_run):
    regression = load_checkpoint(regression_run, demo_store)
    assert (regression.patches_seen, regression.denoiser, regression.residual_scale) == (16, None, None)
    assert regression.config == run_config("regression", "demo", SETTINGS)
    assert regression.store["fingerprint"] == demo_store.fingerprint
    assert regression.store["fingerprint_fields"]["target"]["channels"] == demo_store.recipe.target.channels
    diffusion = load_checkpoint(diffusion_run / LAST, demo_store)
    condition = diffusion.features.condition_of(demo_store.stored("input", 0), Patch(0, 0, *SHAPE))
    predicted = diffusion.prediction(condition)
    assert all(map(torch.equal, predicted, regression.prediction(condition)))
    seen = diffusion.diffusion_condition(condition)
    drawn = diffusion.denoise(torch.randn(1, 6, *SHAPE), torch.tensor(1.0), seen)
    assert drawn.shape == (1, 6, *SHAPE)
    assert diffusion.combined(predicted, drawn).isfinite().all()
    assert not any(each.requires_grad for each in diffusion.denoiser.parameters())


def test_the_residual_is_the_regressions_error_divided_by_its_spread(demo_store, diffusion_run):
    trained = load_checkpoint(diffusion_run, demo_store)
    loader = Loader(demo_store, split_order(demo_store, "train", trained.config))
    errors, residuals = [], []
    for batch in loader.batches([(0, 4), (4, 8)]):
        condition = trained.features.condition(batch.input, batch.patches)
        predicted = trained.prediction(condition)
        errors.append(batch.target.double().numpy() - predicted.mean.double().numpy())
        residuals.append(errors[-1] / predicted.spread.double().numpy())
    error, residual = np.concatenate(errors), np.concatenate(residuals)
    found = [each.numpy() for each in read_checkpoint(diffusion_run)["error_scale"]]
    np.testing.assert_allclose(found, [error.mean(axis=(0, 2, 3)), error.std(axis=(0, 2, 3))], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(trained.residual_scale.mean, residual.mean(axis=(0, 2, 3)), atol=1e-5)
    normal = np.minimum(residual.std(axis=(0, 2, 3)), np.abs(residual).mean(axis=(0, 2, 3)) * np.sqrt(np.pi / 2))
    np.testing.assert_allclose(trained.residual_scale.std, normal, rtol=1e-4)
    standardised = trained.residual_scale.standardised(torch.from_numpy(residual))
    centred = (residual - residual.mean(axis=(0, 2, 3), keepdims=True)) / normal[:, None, None]
    np.testing.assert_allclose(standardised, centred / 2, atol=1e-3)
    np.testing.assert_allclose(trained.residual_scale.restored(standardised), residual, atol=1e-6)


def test_the_best_checkpoint_holds_no_optimizer(regression_run):
    assert "optimizer" in read_checkpoint(regression_run / LAST)
    best = read_checkpoint(regression_run)
    assert not {"model", "optimizer"} & set(best)
    assert set(best["scores"]) == {"t2m", "u10m", "v10m", "tp", "z_500", "refc"}


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.999])
def test_a_checkpoint_cut_short_is_refused_by_name(demo_store, regression_run, tmp_path, kept):
    content = (regression_run / BEST).read_bytes()
    (tmp_path / "cut.pt").write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DamagedData, match=r"cut\.pt is damaged or cut short"):
        load_checkpoint(tmp_path / "cut.pt", demo_store)


@pytest.mark.parametrize(("name", "heals"), [(LAST, "begins anew without it"), (BEST, "name the run's last.pt")])
def test_a_pipe_or_a_folder_in_the_place_of_a_checkpoint_is_no_checkpoint(tmp_path, name, heals):
    for put in (os.mkfifo, os.mkdir):
        run = tmp_path / put.__name__
        run.mkdir()
        put(run / name)
        with pytest.raises(DamagedData, match=rf"{name} is no file that can be read; remove it: .*{heals}"):
            read_checkpoint(run / name)


def test_a_flipped_bit_in_the_weights_is_found(demo_store, regression_run, tmp_path):
    content = bytearray((regression_run / BEST).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "flipped.pt").write_bytes(content)
    with pytest.raises(DamagedData, match=r"flipped\.pt is damaged"):
        load_checkpoint(tmp_path / "flipped.pt", demo_store)


def test_a_foreign_or_older_file_is_refused_by_name(demo_store, tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "foreign.pt")
    with pytest.raises(BadInput, match=r"foreign\.pt has the format None"):
        load_checkpoint(tmp_path / "foreign.pt", demo_store)
    torch.save({"format": "corrstore checkpoint 1"}, tmp_path / "older.pt")
    with pytest.raises(
        BadInput, match=r"older\.pt has the format 'corrstore checkpoint 1', .* reads 'corrstore checkpoint 7'"
    ):
        load_checkpoint(tmp_path / "older.pt", demo_store)
    with pytest.raises(BadInput, match=r"no checkpoint .*best\.pt"):
        load_checkpoint(tmp_path, demo_store)


def test_a_store_with_another_fingerprint_is_refused_with_the_fields_that_differ(recipe, regression_run, tmp_path):
    content = recipe.model_dump()
    content["store"]["dtype"] = "float32"
    content["target"]["channels"] = ["t2m", "u10m", "v10m", "tp", "refc"]
    build_in_process(Recipe.model_validate(content), tmp_path / "other")
    with pytest.raises(BadInput) as refusal:
        load_checkpoint(regression_run, open_store(str(tmp_path / "other")))
    message = str(refusal.value)
    assert "dtype: trained on 'float16', this store has 'float32'" in message
    assert "target.channels: trained on ['t2m', 'u10m', 'v10m', 'tp', 'z_500', 'refc']" in message
    assert "grid" not in message


def test_a_store_that_was_moved_is_taken(demo_store, regression_run, tmp_path):
    shutil.copytree(demo_store.folder.path(), tmp_path / "moved")
    assert load_checkpoint(regression_run, open_store(str(tmp_path / "moved"))).patches_seen == 16


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one_and_nothing_else(tmp_path):
    write_checkpoint(tmp_path / LAST, {"patches_seen": 1})
    with pytest.raises(Exception, match="pickle"):
        write_checkpoint(tmp_path / LAST, {"patches_seen": lambda: 2})
    assert read_checkpoint(tmp_path / LAST)["patches_seen"] == 1
    assert [entry.name for entry in tmp_path.iterdir()] == [LAST]
    with pytest.raises(BadInput, match=r"cannot write .*No such file"):
        write_checkpoint(tmp_path / "nowhere" / LAST, {})


@pytest.mark.parametrize("content", [{}, {"config": 3, "store": {}, "regression": None}, {"store": []}])
def test_a_checkpoint_of_other_content_is_refused(demo_store, tmp_path, content):
    write_checkpoint(tmp_path / LAST, content)
    with pytest.raises(DamagedData, match=r"last\.pt has the form of a checkpoint and other content"):
        load_checkpoint(tmp_path / LAST, demo_store)


def test_a_full_disk_is_told_as_one_and_leaves_the_old_checkpoint(tmp_path):
    write_checkpoint(tmp_path / LAST, {"patches_seen": 1})
    with no_file_larger_than(100_000), pytest.raises(OutOfResources, match=r"cannot write .*last\.pt: File too large"):
        write_checkpoint(tmp_path / LAST, {"patches_seen": 2, "weights": torch.zeros(100_000)})
    assert read_checkpoint(tmp_path / LAST)["patches_seen"] == 1
    assert [entry.name for entry in tmp_path.iterdir()] == [LAST]


def test_a_full_disk_under_the_log_is_told_as_one(tmp_path):
    log = RunLog(tmp_path, 0)
    scores = {"t2m": dict.fromkeys(MEASURES, 1.0)}
    with (
        no_file_larger_than(200),
        pytest.raises(OutOfResources, match=r"cannot write .*(validation\.csv|tensorboard): File too large"),
    ):
        for patches in range(100):
            log.add_scores(patches, scores)
