"""Commands that are killed at random moments, and commands that begin at once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.chaos.outcomes import Outcomes
from tests.chaos.running import Command


class Writing(NamedTuple):
    """A command that writes a folder: its words, the folder, and a digest of what it has made there."""

    words: list[str]
    folder: Path
    made: Callable[[Path], str]

    @property
    def name(self) -> str:
        """What the table calls it."""
        return " ".join(each for each in self.words[:2] if each.isalpha())


def once(writing: Writing) -> tuple[str, float]:
    """Return the digest of what the command makes undisturbed, and the seconds that it takes."""
    import time

    begin = time.monotonic()
    command = Command.begun(writing.words, _said(writing))
    assert command.ended() == 0, command.said.read_text()
    taken = time.monotonic() - begin
    found = writing.made(writing.folder)
    shutil.rmtree(writing.folder)
    return found, taken


def kills(writing: Writing, count: int, seed: int = 0) -> Outcomes:
    """Kill the command by SIGKILL at a random moment, and give it again, `count` times."""
    outcomes, random = Outcomes(f"kills of {writing.name}"), np.random.default_rng(seed)
    whole, seconds = once(writing)
    for _ in range(count):
        moment = float(random.uniform(0, seconds))
        killed = Command.begun(writing.words, _said(writing))
        killed.ended(moment)
        killed.kill()
        again = Command.begun(writing.words, _said(writing))
        code = again.ended()
        if code is None:
            again.kill()
        said = again.said.read_text(errors="replace")[-1000:]
        if code != 0:
            outcomes.add(f"ended with {code}", f"after {moment:.2f} s: {said}")
        else:
            same = writing.made(writing.folder) == whole
            outcomes.add("went on to the same" if same else "went on to something else", f"after {moment:.2f} s")
        shutil.rmtree(writing.folder, ignore_errors=True)
    return outcomes


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
        said = [each.said.read_text(errors="replace")[-1000:] for each in begun]
        for each in begun:
            each.kill()
        first = both[0]
        if 0 not in codes or not set(codes) <= {0, 2, 75} or any(each.has_a_traceback for each in begun):
            outcomes.add(f"ended with {codes}", f"{number}: {said}")
        else:
            right = first.made(first.folder) in [whole for whole, code in zip(wholes, codes, strict=True) if code == 0]
            outcomes.add("one is whole, the other refused or the same" if right else "a mixture", f"{number}: {said}")
        shutil.rmtree(first.folder, ignore_errors=True)
    return outcomes


def _said(writing: Writing, number: int = 0) -> Path:
    return writing.folder.with_name(f"{writing.folder.name}-said-{number}")
