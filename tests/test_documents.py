"""Every command and snippet of the documents is known here; the slow tests run them where `make demo` has been run."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Sized
from functools import cache
from pathlib import Path
from pkgutil import resolve_name

import duckdb
import pytest
import yaml
from typer import BadParameter
from typer.main import get_command

from corrstore.beam_pipelines.spreading.options import refuse_unknown
from corrstore.command_line import app
from corrstore.datasets.archives.table import load_table
from corrstore.datasets.errors import CorrstoreError
from corrstore.datasets.recipe.files import load_recipe
from corrstore.datasets.recipe.periods import parse_duration, parse_period
from corrstore.datasets.recipe.recipe import recipe_from
from corrstore.datasets.recipe.source import SourceSpec
from corrstore.training.nvidia.physicsnemo import CorrDiffDataset
from tests.brief_run import BRIEF_RUN
from tests.command import corrstore
from tests.documents import CONTRIBUTING, DOCUMENTS, blocks
from tests.paths import OLD_STORE, ROOT

UsageError = BadParameter.__base__  # typer names it elsewhere from one version to the next
COMMANDS = get_command(app)
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE)
GROUPS = (COMMANDS, COMMANDS.commands["catalog"])
OPTIONS = {word for group in GROUPS for each in group.commands.values() for one in each.params for word in one.opts}
SHORT = "short.yaml"
SHORT_FORECAST = "short_forecast.yaml"
SHORT_BASELINE = "short_baseline.yaml"
STANDS_FOR = {
    "demo": SHORT,
    "demo_forecast": SHORT_FORECAST,
    "demo_cma_meso": SHORT_BASELINE,
    "china_3km": SHORT,
    "sources.era5.path=/data/era5": "sources.era5.path=demo/archive/era5",
    "sources.cma_rra.path=/data/cma_rra": "sources.cma_rra.path=demo/archive/cma_rra",
    "2020-08-28T00": "2020-07-06T00",
    "target.grid.east=106.06": "target.grid.east=103.42",
    "input.grid.east=106.25": "input.grid.east=103.5",
    "target.grid.west=106.09": "target.grid.west=103.45",
    "input.grid.west=106": "input.grid.west=103.25",
    "2020-07-01T12/2020-07-16": "2020-07-01T12/2020-07-04T12",
    "2020-07-18/2020-07-25": "2020-07-04T12/2020-07-06T12",
    "2020-08-01/2020-08-08": "2020-07-06T12/2020-07-08T12",
    "regression,case:2020-08-28T00": "regression,case:2020-07-06T00",
}
"""The words of plan, build, train and sample that this folder has something else for: fewer samples, other archives."""

LAST = "2020-07-08T12"
RUN = {**BRIEF_RUN, "size": "tiny", "patches": 16, "save_every": 16, "validate_every": 16}
SHORTER = {
    "synth": ["--end", LAST, "--shape", "48x64"],
    "build": ["--workers", "1"],
    "train": [f"--set={key}={json.dumps(value)}" for key, value in RUN.items()],
    "sample": ["--steps", "2", "--sigma-max", "20", "--members", "2", "--tile", "48", "64"],
}
"""The options that make a command brief; they come last, and so win."""

ELSEWHERE = ("tcp://", "gs://", "s3://", "--runner=", "torchrun", "--processes")
"""A command with one of these needs what is not here (a cluster, a bucket, GPUs): only its options are checked."""


def short_recipe() -> dict:
    """The demonstration's recipe for the archives that SHORTER leaves."""
    return load_recipe("demo").content | {
        "period": {"start": "2020-07-01T12", "end": LAST, "frequency": "12h"},
        "splits": {
            "train": {"start": "2020-07-01T12", "end": "2020-07-05T12"},
            "validation": {"start": "2020-07-05T12", "end": "2020-07-06T12"},
            "test": {"start": "2020-07-06T12", "end": LAST},
            "embargo": "0h",
        },
        "sources": {name: {"type": name, "path": f"demo/archive/{name}"} for name in ("era5", "cma_rra")},
        "input": {
            "source": "era5",
            "grid": {"north": 32.75, "south": 31.25, "west": 102.25, "east": 104.5, "step": 0.25},
            "halo": 2,
            "channels": ["t2m", "tp", {"u": [850]}],
        },
        "target": {
            "source": "cma_rra",
            "grid": {"north": 32.71, "south": 31.30, "west": 102.49, "east": 104.38, "step": 0.03},
            "channels": ["t2m", "tp", "refc"],
        },
        "max_missing_share": 0.6,
        "store": {"chunk": 24},
    }


def short_forecast(name: str) -> dict:
    """The recipe of the demonstration's forecasts of that name, for the runs that SHORTER leaves."""
    path = ROOT / "datasets" / "recipe" / "recipes" / f"{name}.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["forecast"]["inits"] |= {"start": "2020-07-06", "end": "2020-07-07"}
    return content


def run_command(words: list[str]) -> None:
    """Run a command of corrstore, made brief; it must end with 0."""
    name = words[0]
    if name in ("plan", "build", "train", "sample"):
        preset = {"demo": "demo"} if name == "train" else {}
        words = [(STANDS_FOR | preset).get(word, word).removeprefix("/") for word in words]
    alone = ["--members", "0", "--tile", "48", "32"] if "--members 0" in shlex.join(words) else []  # of a regression
    ended = planned(*words) if name == "plan" else corrstore(*words, *SHORTER.get(name, []), *alone)
    assert ended.returncode == 0, f"{shlex.join(words)} ended with {ended.returncode}\n{ended.stderr}{ended.stdout}"


@cache
def planned(*words: str) -> subprocess.CompletedProcess[str]:
    """The end of a plan: it changes nothing, so the same one needs no second run."""
    return corrstore(*words)


def parse(words: list[str]) -> None:
    """Raise an error where the command does not know one of its words, nor Beam the options that are passed on."""
    name, *rest = words
    command = COMMANDS.commands[name]
    if name == "catalog":
        name, *rest = rest
        command = command.commands[name]
    refuse_unknown(tuple(command.make_context(name, rest).args), [])


def run(line: str, command: Callable[[list[str]], None] = run_command) -> None:
    """Run a line of a shell in this folder; a command that this machine has no cluster for is parsed."""
    words = shlex.split(line, comments=True)
    match words:
        case []:
            pass
        case ["export", assignment]:
            os.environ.update([assignment.split("=", 1)])
        case ["make", target]:
            assert target in TARGETS, target
        case ["corrstore", *rest] if not any(mark in line for mark in ELSEWHERE):
            command(rest)
        case ["corrstore", *rest] | ["torchrun", "--nproc-per-node", _, "-m", "corrstore", *rest]:
            parse(rest)
        case _:
            pytest.fail(f"nothing here knows how to run {line!r}")


def load(text: str, dataset: Callable[..., Sized] = CorrDiffDataset) -> None:
    """Load YAML as what it is: an addition to a recipe, a source table, or physicsnemo's configuration."""
    content = yaml.safe_load(text)
    if "fields" in content:
        Path("table.yaml").write_text(text)
        assert set(content["fields"]) <= set(load_table("table.yaml").fields)
    elif "variables" in content:
        assert set(content["variables"]) == set(recipe_from(short_recipe() | content).content["variables"])
    elif "target" in content:
        assert recipe_from(content).name == content["name"]
    elif "sources" in content:
        assert all(SourceSpec.model_validate(source) for source in content["sources"].values())
    else:
        training = {key: value for key, value in content["dataset"].items() if key != "type"}
        for settings in (training, training | content["validation"]):
            assert len(dataset(**settings)) > 0


def lines_of(text: str) -> list[str]:
    """The lines of a shell, each of them whole."""
    return text.replace("\\\n", "").splitlines()


def lines_of_demo() -> list[str]:
    """The commands of `make demo`."""
    (lines,) = re.findall(r"^demo: install\n((?:\t.+\n)+)", MAKEFILE.replace("\\\n", ""), re.MULTILINE)
    return [line.replace("$(BIN)/corrstore", "corrstore") for line in lines.splitlines() if "$(BIN)" in line]


RUNNERS = {
    "sh": lambda text: [run(line) for line in lines_of(text)],
    "python": lambda text: exec(text, {}),
    "yaml": load,
    "sql": lambda text: duckdb.sql(text).fetchall(),
}
"""The functions that run a block of each language in this folder."""


def import_names(text: str) -> None:
    """Parse a snippet of Python, and import what it imports."""
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            exec(ast.unparse(statement), {})


def arguments_of_dataset(**settings: object) -> dict:
    """The settings, each of which is one of physicsnemo's data set."""
    return inspect.signature(CorrDiffDataset).bind(**settings).arguments


READERS = {
    "sh": lambda text: [run(line, parse) for line in lines_of(text)],
    "python": import_names,
    "yaml": lambda text: load(text, arguments_of_dataset),
    "sql": duckdb.extract_statements,
}
"""The functions that read a block of each language and run nothing."""


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory) -> Path:
    """The folder that the commands of `make demo` leave; do not change what is in `demo`, but add to its catalog."""
    folder = tmp_path_factory.mktemp("demonstration")
    (folder / SHORT).write_text(yaml.safe_dump(short_recipe()))
    (folder / SHORT_FORECAST).write_text(yaml.safe_dump(short_forecast("demo_forecast")))
    (folder / SHORT_BASELINE).write_text(yaml.safe_dump(short_forecast("demo_cma_meso")))
    shutil.unpack_archive(OLD_STORE, folder / "old")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "cpu_count", lambda: 1)
        patch.chdir(folder)
        for line in lines_of_demo():
            run(line.replace(" --processes 2", ""))
    return folder


@pytest.fixture
def beside(demonstration, monkeypatch) -> None:
    """Work in the demonstration's folder, and leave it and the environment as they were."""
    monkeypatch.chdir(demonstration)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)  # processes and threads take longer to start than to work
    environment, before = os.environ.copy(), set(demonstration.iterdir())
    yield
    os.environ.clear()
    os.environ.update(environment)
    for made in set(demonstration.iterdir()) - before:
        shutil.rmtree(made) if made.is_dir() else made.unlink()


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> None:
    """Work in an empty folder, and leave the environment as it was."""
    monkeypatch.chdir(tmp_path)
    environment = os.environ.copy()
    yield
    os.environ.clear()
    os.environ.update(environment)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: each.name)
def test_every_command_option_and_import_of_a_document_is_known(elsewhere, document):
    for block in blocks(document):
        assert block.language or "corrstore " not in block.text, f"{block.place}: say that this is sh"
        if block.language:
            READERS[block.language](block.text)


def test_every_command_of_the_demonstration_is_known(elsewhere):
    assert len([run(line, parse) for line in lines_of_demo()]) > 8


def test_the_periods_of_a_rolling_update_are_not_within_the_embargo():
    trained, *judged = map(parse_period, re.findall(r"--period (\S+)", (ROOT / "docs/protocols.md").read_text("utf-8")))
    embargo = parse_duration(load_recipe("demo").content["splits"]["embargo"])
    assert len(judged) == 2 and all(each.start >= trained.end + embargo for each in judged)


@pytest.mark.slow
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: each.name)
def test_every_block_of_a_document_runs_where_the_demonstration_was_run(beside, document):
    for block in blocks(document):
        if block.language:
            RUNNERS[block.language](block.text)


@pytest.mark.parametrize(
    "line",
    [
        "corrstore inspect demo/no-store",
        "corrstore inspect demo/store --jason",
        "corrstore look demo/store",
        "corrstore build demo --output gs://bucket/store --wrokers 4",
        "torchrun --nproc-per-node 8 -m corrstore train --output run --steps 4",
        "make lunch",
        "curl example.org",
    ],
)
def test_a_wrong_command_would_be_noticed(elsewhere, line):
    with pytest.raises((AssertionError, CorrstoreError, UsageError, KeyError, pytest.fail.Exception)):
        run(line)
    if "no-store" not in line:
        with pytest.raises((CorrstoreError, UsageError, KeyError, pytest.fail.Exception, AssertionError)):
            run(line, parse)


@pytest.mark.parametrize("document", [CONTRIBUTING, *DOCUMENTS], ids=lambda each: each.name)
def test_the_files_options_and_names_that_a_document_mentions_are_there(document):
    text = document.read_text(encoding="utf-8")
    for link in re.findall(r"(?<!\")\]\((?!https?://)([^)#]*)", text):
        assert (document.parent / link).exists(), link
    for option in re.findall(r"`(--[a-z-]+)[ =`]", text):
        assert option in OPTIONS, option
    for target in re.findall(r"`make ([\w-]+)", text):
        assert target in TARGETS, target
    for name in re.findall(r"`(corrstore(?:\.\w+)+)", text):
        resolve_name(name)
    paths = set(re.findall(r"`((?:datasets|catalog|training|beam_pipelines|corrstore|tests)/[\w/.]*)`", text))
    for path in paths - set(re.findall(r"new file\s`([^`]+)`", text)):
        assert (ROOT / path).exists(), path
