"""The wheel as it is installed: what it holds, that it lives beside Hugging Face's `datasets`, and its types."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.paths import ROOT

pytestmark = pytest.mark.slow
PACKAGES = ("datasets", "catalog", "training", "beam_pipelines")


def run(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a program without the PYTHONPATH of the tests."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [str(word) for word in words], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def checked(*words: object, cwd: Path) -> str:
    """Return what a program prints; an assertion fails where it fails."""
    ended = run(*words, cwd=cwd)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def wheel_of(source: Path, folder: Path) -> Path:
    """Build the wheel of a source tree or of an sdist."""
    built = ("-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source)
    checked(sys.executable, *built, cwd=folder.parent)
    return next(folder.glob("*.whl"))


def contents(wheel: Path) -> dict[str, bytes]:
    """The files of a wheel, without the record of their checksums."""
    with zipfile.ZipFile(wheel) as opened:
        return {name: opened.read(name) for name in opened.namelist() if not name.endswith("RECORD")}


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A copy of the project without what is built in it."""
    copy = tmp_path_factory.mktemp("tree") / "corrstore"
    unwanted = shutil.ignore_patterns(".*", "build", "dist", "demo", "*.egg-info", "__pycache__", "docs", "benchmarks")
    shutil.copytree(ROOT, copy, symlinks=True, ignore=unwanted)
    return copy


@pytest.fixture(scope="module")
def wheel(tree, tmp_path_factory) -> Path:
    return wheel_of(tree, tmp_path_factory.mktemp("wheel") / "built")


@pytest.fixture
def environment(tmp_path) -> Path:
    """The Python of a virtual environment that sees the packages of this one, other than corrstore."""
    venv.create(tmp_path / "venv", with_pip=True)
    seen = tmp_path / "seen"
    seen.mkdir()
    for package in Path(sysconfig.get_path("purelib")).iterdir():
        if not any(word in package.name for word in ("corrstore", "__pycache__", "pip", "setuptools", ".pth")):
            (seen / package.name).symlink_to(package)
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (site / "seen.pth").write_text(f"{seen}\n")
    return tmp_path / "venv" / "bin" / "python"


def test_the_wheel_holds_the_four_packages_and_nothing_else(tree, wheel, tmp_path):
    held = {name for name in contents(wheel) if ".dist-info/" not in name}
    expected = {
        f"corrstore/{file.relative_to(tree)}"
        for package in PACKAGES
        for file in (tree / package).rglob("*")
        if file.suffix in (".py", ".yaml", ".j2")
    }
    assert held == expected | {
        f"corrstore/{name}" for name in ("__init__.py", "__main__.py", "command_line.py", "py.typed")
    }

    checked(sys.executable, "setup.py", "-q", "sdist", "--dist-dir", tmp_path, cwd=tree)
    (sdist,) = tmp_path.glob("*.tar.gz")
    assert contents(wheel_of(sdist, tmp_path / "again")) == contents(wheel)


def test_the_wheel_leaves_the_datasets_of_hugging_face_intact(wheel, environment, tmp_path):
    (site,) = environment.parent.parent.glob("lib/python*/site-packages")
    installed = run(environment, "-m", "pip", "install", "--quiet", "datasets", cwd=tmp_path)
    if installed.returncode:
        pytest.skip(f"pip cannot install Hugging Face's datasets: {installed.stderr.splitlines()[-1]}")

    def theirs() -> dict[str, str]:
        files = [file for file in (site / "datasets").rglob("*") if file.is_file() and file.suffix != ".pyc"]
        return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}

    before = theirs()
    checked(environment, "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    both = "import datasets, corrstore.datasets.store as ours; print(datasets.Dataset.__module__, ours.__file__)"
    assert checked(environment, "-c", both, cwd=tmp_path).split() == [
        "datasets.arrow_dataset",
        str(site / "corrstore" / "datasets" / "store" / "__init__.py"),
    ]
    assert "training stores" in checked(environment.with_name("corrstore"), "--help", cwd=tmp_path)
    (tmp_path / "datasets").mkdir()
    for starter in ((), ("-m", "torch.distributed.run", "--standalone")):
        assert '"title": "Recipe"' in checked(environment, *starter, "-m", "corrstore", "schema", cwd=tmp_path)
    checked(environment, "-m", "pip", "uninstall", "--quiet", "--yes", "corrstore", cwd=tmp_path)
    assert theirs() == before and not (site / "corrstore").exists()


def test_a_script_of_the_user_sees_the_types(wheel, environment, tmp_path):
    checked(environment, "-m", "pip", "install", "--quiet", "--no-deps", wheel, cwd=tmp_path)
    script = tmp_path / "script.py"
    script.write_text("from corrstore.datasets.store import open_store\nreveal_type(open_store('demo/store'))\n")
    shown = checked(environment, "-m", "mypy", script, cwd=tmp_path)
    assert 'Revealed type is "corrstore.datasets.store.opening.Store"' in shown
