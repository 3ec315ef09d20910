"""Commands that are killed at random moments, commands that begin at once, and commands on disks that are full."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from corrstore.datasets.errors import OutOfResources
from tests.chaos.outcomes import Outcomes
from tests.chaos.running import Command


class Writing(NamedTuple):
    """A command that writes a folder: its words, the folder, a digest of what it makes, and what lies there before."""

    words: list[str]
    folder: Path
    made: Callable[[Path], str]
    before: Path | None = None

    @property
    def name(self) -> str:
        """What the table calls it."""
        options = (each.removeprefix("--") for each in self.words[2:] if each.startswith("--") and "=" not in each)
        return " ".join([*(each for each in self.words[:2] if each.isalpha()), *options])

    def prepare(self) -> None:
        """Lay what lies there before into the folder."""
        if self.before is not None:
            shutil.copytree(self.before, self.folder)


def once(writing: Writing) -> tuple[str, float]:
    """Return the digest of what the command makes undisturbed, and the seconds that it takes."""
    writing.prepare()
    begin = time.monotonic()
    command = Command.begun(writing.words, _said(writing))
    assert command.ended() == 0, command.words
    taken = time.monotonic() - begin
    found = writing.made(writing.folder)
    shutil.rmtree(writing.folder)
    return found, taken


def kills(writing: Writing, count: int, seed: int = 0) -> Outcomes:
    """Kill the command by SIGKILL at a random moment, and give it again, `count` times."""
    outcomes, random = Outcomes(f"kills of {writing.name}"), np.random.default_rng(seed)
    whole, seconds = once(writing)
    while outcomes.counted.total() - outcomes.counted["had ended"] < count:
        moment = float(random.uniform(0, seconds))
        writing.prepare()
        begin = time.monotonic()
        killed = Command.begun(writing.words, _said(writing))
        code = killed.ended(moment)
        if code is not None:  # the first time takes longest
            seconds = min(seconds, time.monotonic() - begin)
            outcomes.add("had ended" if code == 0 else f"ended with {code}", killed.words)
            shutil.rmtree(writing.folder)
            continue
        killed.kill()
        again = Command.begun(writing.words, _said(writing))
        outcomes.add(*_outcome(writing, again, whole, f"after {moment:.2f} s"))
    return outcomes


def full_disks(writing: Writing, count: int, seed: int = 0) -> Outcomes:
    """Let no file grow beyond a random size, which ends the command with 75 and a line, and give it again."""
    outcomes, random = Outcomes(f"full disks under {writing.name}"), np.random.default_rng(seed)
    whole, _ = once(writing)
    for _ in range(count):
        size = int(10 ** random.uniform(2, 5.5))
        writing.prepare()
        full = Command.begun(writing.words, _said(writing), size)
        code, words = full.ended(), full.words
        if code == 0 and writing.made(writing.folder) == whole:
            outcomes.add("had room", size)
            shutil.rmtree(writing.folder)
        elif code != OutOfResources.exit_code or words.count("corrstore: ") != 1 or "Traceback" in words:
            outcomes.add(f"ended with {code}", f"{size} bytes: {words}")
            full.kill()
            shutil.rmtree(writing.folder, ignore_errors=True)
        else:
            again = Command.begun(writing.words, _said(writing))
            outcomes.add(*_outcome(writing, again, whole, f"after {size} bytes"))
    return outcomes


def _outcome(writing: Writing, again: Command, whole: str, when: str) -> tuple[str, str]:
    """Return what came of a command that was given again; its folder is removed."""
    code = again.ended()
    again.kill()
    if code != 0:
        found = f"ended with {code}"
    else:
        found = "went on to the same" if writing.made(writing.folder) == whole else "went on to something else"
    shutil.rmtree(writing.folder, ignore_errors=True)
    return found, f"{when}: {again.words}"


def races(what: str, both: Sequence[Writing], count: int, seed: int = 0) -> Outcomes:
    """Begin two commands on one folder at nearly the same moment, `count` times.

    One is done, and what it makes is what it makes alone; the other is done too, or refused with 2 or 75.
    """
    outcomes, random = Outcomes(f"races of {what}"), np.random.default_rng(seed)
    wholes = [once(each)[0] for each in both]
    for number in range(count):
        begun = []
        for place, each in enumerate(both):
            begun.append(Command.begun(each.words, _said(each, place)))
            begun[-1].ended(float(random.uniform(0, 0.3)))
        codes = [each.ended() for each in begun]
        said = [each.words for each in begun]
        for each in begun:
            each.kill()
        first = both[0]
        if 0 not in codes or not set(codes) <= {0, 2, 75} or any("Traceback" in words for words in said):
            outcomes.add(f"ended with {codes}", f"{number}: {said}")
        else:
            right = first.made(first.folder) in [whole for whole, code in zip(wholes, codes, strict=True) if code == 0]
            outcomes.add("one is whole, the other refused or the same" if right else "a mixture", f"{number}: {said}")
        shutil.rmtree(first.folder, ignore_errors=True)
    return outcomes


def _said(writing: Writing, number: int = 0) -> Path:
    return writing.folder.with_name(f"{writing.folder.name}-said-{number}")
