"""A store whose recipe has a train split alone goes the whole way, as far as a model's scores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from corrstore.training.nvidia.physicsnemo import CorrDiffDataset
from tests.brief_run import BRIEF_RUN
from tests.command import corrstore
from tests.conftest import brief_content

VARIABLE = ["--variable", "t2m", "--period", "2020-06-01T03/2020-06-01T15"]
RUN = [
    f"--set={key}={json.dumps(value)}"
    for key, value in {**BRIEF_RUN, "size": "tiny", "patches": 16, "save_every": 16, "validate_every": 8}.items()
]


@pytest.fixture(scope="module")
def folder(archive, tmp_path_factory) -> Path:
    """A folder with a recipe, its store, a catalog of it, and a run of each stage."""
    folder = tmp_path_factory.mktemp("train-only")
    (folder / "recipe.yaml").write_text(yaml.safe_dump(brief_content(archive)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done("build recipe.yaml --output store --workers 1 --catalog catalog")
        done("train --store store --preset demo --output regression", *RUN)
        done("train --store store --preset demo --stage diffusion --regression regression --output diffusion", *RUN)
    return folder


def done(command: str, *options: str) -> str:
    """Return the output of a command that ends with 0."""
    ended = corrstore(*command.split(), *options)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize(
    "command",
    [
        "build recipe.yaml --output store --workers 1",
        "verify store --against-source --workers 1",
        "inspect store",
        "report store --output report.html",
        "catalog add store --catalog catalog",
        "catalog list --catalog catalog",
        "catalog diff store store --catalog catalog",
        "catalog page page --catalog catalog",
        "catalog stac stac --catalog catalog",
        "catalog card store --catalog catalog",
        "train --store store --preset demo --set patch=[16,16] --plan --output none",
    ],
)
def test_a_command_does_without_validation_and_test(folder, monkeypatch, command):
    monkeypatch.chdir(folder)
    done(command)


@pytest.mark.parametrize("command", ["query", "statistics"])
def test_the_catalog_answers(folder, command):
    assert "t2m" in done(f"catalog {command} --json --catalog {folder / 'catalog'}", *VARIABLE)


def test_a_training_is_launched_from_the_catalog(folder, tmp_path):
    done(f"train --preset demo --output {tmp_path / 'run'} --catalog {folder / 'catalog'}", *VARIABLE, *RUN)
    header, *rows = (tmp_path / "run" / "validation.csv").read_text().splitlines()
    assert "channel" in header and rows == []
    assert (tmp_path / "run" / "best.pt").exists()


def test_samples_of_the_train_split_are_drawn_and_scored(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    drawing = f"sample --store store --checkpoint diffusion --output {tmp_path / 'forecast'}"
    refused = corrstore(*drawing.split())
    assert refused.returncode == 2 and "has no split 'test'; give one of train, or all" in refused.stderr
    done(f"{drawing} --times 2020-06-01T06 --members 2 --steps 2 --sigma-max 20")
    scoring = f"evaluate --truth store --forecast {tmp_path / 'forecast'} --output {tmp_path / 'scores'} --workers 1"
    refused = corrstore(*scoring.split())
    assert refused.returncode == 2 and "1 of 1 truth times lie in" in refused.stderr
    done(scoring, "--allow-training")
    assert "Not independent" in (tmp_path / "scores" / "report.html").read_text()


def test_physicsnemo_reads_it(folder):
    assert len(CorrDiffDataset(str(folder / "store"), split="train")) > 0
