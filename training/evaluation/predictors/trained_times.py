"""What the checkpoint of a forecast tells: the times that the model was trained on, and its residual's scale."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from corrstore.datasets.errors import BadInput, CorrstoreError
from corrstore.datasets.recipe.periods import Interval, Times, format_time, parse_duration, parse_period
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.opening import open_store
from corrstore.training.evaluation.predictors.comparison import Opened
from corrstore.training.evaluation.predictors.names import WHITE


@dataclass(frozen=True)
class Learned:
    """What is known of a forecast's model: the residual's scale by channel, and the `periods` that it was trained on.

    A period is the train split, or the part of it that the run was to take, with the embargo around it.
    """

    scales: dict[str, tuple[float, float]] = field(default_factory=dict)
    periods: list[Interval] = field(default_factory=list)

    def refuse(self, valid: Times, allowed: bool, truth: str) -> str:
        """Return what every page must say of truth times that the model was trained on, which are to be `allowed`.

        Raises BadInput where they are not.
        """
        inside = np.logical_or.reduce([np.zeros(len(valid), bool), *(each.mask(valid) for each in self.periods)])
        if not inside.any():
            return ""
        periods = " and ".join(map(str, self.periods))
        text = (
            f"{np.count_nonzero(inside)} of {len(valid)} truth times lie in {periods}, which the model was trained on"
            " (with the embargo)"
        )
        if not allowed:
            raise BadInput(
                f"{truth}: {text}, {format_time(valid[inside][0])} first; draw a forecast of other times, or give"
                " --allow-training, which marks every page"
            )
        return f"{text}: these scores say nothing about new weather."


def learned(opened: Opened, notes: list[str]) -> Learned:
    """Return what the checkpoint of the forecast tells; what it does not is added to the notes."""
    lineage = opened.forecast.header.lineage
    path = Path(lineage.get("checkpoint", ""))
    if "checkpoint" not in lineage:
        return Learned()
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != lineage["checkpoint_sha256"]:
        notes.append(
            f"The checkpoint {path} is gone or another one now: whether it has seen the truth is not known, and the"
            f" noise of '{WHITE}' is measured on other samples."
        )
        return Learned()
    from corrstore.training.learning.checkpoint import read_checkpoint

    try:
        content = read_checkpoint(path)
    except CorrstoreError as error:  # of another version of corrstore
        notes.append(f"Whether the model has seen the truth is not known: {error}.")
        return Learned()
    names = content["store"]["fingerprint_fields"]["target"]["channels"]
    scales = {}
    runs = [content["config"]]
    if content["regression"] is not None:  # a diffusion's: its residual is the error of the regression
        mean, std = (each.double().tolist() for each in content["error_scale"])
        scales = {name: (m, s) for name, m, s in zip(names, mean, std, strict=True)}
        runs.append(content["regression"]["config"])
    url = content["store"]["url"]
    if not Folder(url).exists("zarr.json"):
        notes.append(f"The training store {url} is gone: whether the model has seen the truth is not known.")
        return Learned(scales)
    splits = open_store(url).recipe.splits
    train, gap = splits.intervals.get("train"), parse_duration(splits.embargo)
    taken = {run["period"]: parse_period(run["period"]) if run["period"] else train for run in runs}
    return Learned(scales, [Interval(each.start - gap, each.end + gap) for each in taken.values() if each is not None])
