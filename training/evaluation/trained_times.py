"""What the checkpoint of a forecast tells: the times that the model was trained on, and its residual's scale."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from corrstore.datasets.errors import BadInput, CorrstoreError
from corrstore.datasets.recipe.periods import Interval, format_time, parse_duration
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.opening import Store, open_store
from corrstore.training.evaluation.predictors.comparison import Comparison, Opened
from corrstore.training.evaluation.predictors.names import WHITE


def residual_scales(opened: Opened, notes: list[str]) -> tuple[dict[str, tuple[float, float]], Interval | None]:
    """The residual's scale by channel, and the times that the model has seen: train split and embargo."""
    lineage = opened.forecast.header.lineage
    path = Path(lineage.get("checkpoint", ""))
    if "checkpoint" not in lineage:
        return {}, None
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != lineage["checkpoint_sha256"]:
        notes.append(
            f"The checkpoint {path} is gone or another one now: whether it has seen the truth is not known, and the"
            f" noise of '{WHITE}' is measured on other samples."
        )
        return {}, None
    from corrstore.training.learning.checkpoint import read_checkpoint

    try:
        content = read_checkpoint(path)
    except CorrstoreError as error:  # of another version of corrstore
        notes.append(f"Whether the model has seen the truth is not known: {error}.")
        return {}, None
    names = content["store"]["fingerprint_fields"]["target"]["channels"]
    scales = {}
    if content["regression"] is not None:  # a diffusion's: its residual is the error of the regression
        mean, std = (each.double().tolist() for each in content["residual_scale"])
        scales = {name: (m, s) for name, m, s in zip(names, mean, std, strict=True)}
    url = content["store"]["url"]
    if not Folder(url).exists("zarr.json"):
        notes.append(f"The training store {url} is gone: whether the model has seen the truth is not known.")
        return scales, None
    return scales, _seen(open_store(url))


def _seen(store: Store) -> Interval | None:
    splits = store.recipe.splits
    train = splits.intervals.get("train")
    gap = parse_duration(splits.embargo)
    return None if train is None else Interval(train.start - gap, train.end + gap)


def refuse_trained(seen: Interval | None, valid: Any, allowed: bool, comparison: Comparison) -> str:
    count = 0 if seen is None else int(seen.mask(valid).sum())
    if not count:
        return ""
    text = f"{count} of {len(valid)} truth times lie in {seen}, which the model was trained on (with the embargo)"
    if not allowed:
        first = format_time(valid[seen.mask(valid)][0]) if seen is not None else ""
        raise BadInput(
            f"{comparison.truth}: {text}, {first} first; draw a forecast of other times, or give --allow-training,"
            " which marks every page"
        )
    return f"{text}: these scores say nothing about new weather."
