"""A training run: from a store and settings to checkpoints, logs and scores in one folder."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from corrstore.catalog.printing.progress import shown_progress
from corrstore.datasets.commands import notices, on_signals
from corrstore.datasets.errors import BadInput
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.storage.ownership import one_writer
from corrstore.datasets.store.opening import Store
from corrstore.training.diffusion.levels import NoiseLevels
from corrstore.training.learning.checkpoint import (
    BEST,
    LAST,
    Trained,
    check_store,
    content_of,
    interpolation,
    load_checkpoint,
    parent_model,
    read_checkpoint,
    write_checkpoint,
)
from corrstore.training.learning.launching import Query, check_start, refuse_other_content, write_run_record
from corrstore.training.learning.learner import Learner
from corrstore.training.learning.processes import SINGLE_PROCESS, Processes
from corrstore.training.learning.run_log import RunLog
from corrstore.training.learning.validation import Scores, score, validate
from corrstore.training.patches.loader import Loader, split_order
from corrstore.training.patches.meter import Meter, Throughput, throughput
from corrstore.training.run_config import CHANGEABLE_SETTINGS, RunConfig

_PLANNED_PATCHES = 64
"""The patches from which a plan takes the noise levels."""


def train(
    store: Store,
    config: RunConfig,
    output: Path,
    regression: Path | None = None,
    device: torch.device | str = "cpu",
    processes: Processes = SINGLE_PROCESS,
    stop: threading.Event | None = None,
    query: Query | None = None,
    start: Path | None = None,
) -> int:
    """Train in the folder `output`, from its last checkpoint where it has one; returns the number of patches seen.

    `regression` is the run or checkpoint that a diffusion model needs; a resumed run keeps its own. A new run begins
    with the averaged weights of `start`, another run or checkpoint, where one is given. Set
    `stop`, or send SIGTERM or SIGINT, and the run ends after the update that it is at, its checkpoint written; begun
    again it comes to the same weights, on a CPU to the bit. `query` is what the store was found by, for the run's
    record. Raises BadInput where the folder holds a run of another config, or one on another store, and InUse where
    another process trains in it.
    """
    device, stop = torch.device(device), stop or threading.Event()
    if config.threads:
        torch.set_num_threads(config.threads)
    alone = one_writer(Folder(str(output)), "", f"trains a {config.stage}") if processes.is_first else nullcontext()
    with alone:
        return _train(store, config, output, regression, device, processes, stop, query, start)


def _train(
    store: Store,
    config: RunConfig,
    output: Path,
    regression: Path | None,
    device: torch.device,
    processes: Processes,
    stop: threading.Event,
    query: Query | None,
    start: Path | None,
) -> int:
    """Do what `train` says, as the only writer of the folder."""
    begun_from = None if start is None else str(start.resolve())
    if (output / LAST).exists():
        begun_from = check_start(output, begun_from)
        learner, best = _resumed(store, config, output, device, processes)
    else:
        refuse_other_content(output)
        learner, best = Learner(config, store, device, _parent(store, config, regression, device), processes), None
        if start is not None:
            begin_from(learner, start)
    asked, config = config, learner.config
    order = split_order(store, "train", config)
    loader = Loader(store, order, config.prefetch, pin=device.type == "cuda")
    if processes.is_first:
        write_run_record(output, store, asked, query, begun_from)
        notices.print(
            f"{len(order.samples)} samples for training, {order.skipped} skipped as not valid;"
            f" {learner.patches_seen:,} of {config.patches:,} patches seen"
        )
        for line in config.fitted_from(asked, processes.world_size):
            notices.print(line, soft_wrap=True)
        if "validation" not in store.recipe.splits.intervals:
            notices.print("the store has no validation split: nothing is validated; best.pt holds the latest weights")
    if learner.residual_scale is None:
        learner.measure_residual_scale(
            loader.batches(processes.share(config.residual_scale_patches, config.micro_batch))
        )
        if processes.is_first and learner.noise_levels:
            ends = [each for each in ("sigma_min", "sigma_max") if getattr(config, each) is not None]
            origin = f"{' and '.join(ends)} as set" if ends else "from the residual's spectrum"
            notices.print(f"noise levels {learner.noise_levels}: {origin}")
    log = RunLog(output, learner.patches_seen) if processes.is_first else None
    if config.stage == "diffusion" and not learner.patches_seen:
        best = _validated(learner, best, output, log)  # the Wiener filter, which training has to improve on
    batches = loader.batches(learner.spans())
    meter = Meter(loader)
    console = notices if processes.is_first else Console(quiet=True, force_terminal=False)
    with (
        on_signals(lambda _: stop.set()),
        shown_progress(console, config.stage, "patches", config.patches, learner.patches_seen) as show,
    ):
        while learner.patches_seen < config.patches:
            before = learner.patches_seen
            row = learner.update(batches)
            done, stopped = learner.patches_seen >= config.patches, processes.any_process(stop.is_set(), device)
            reading = meter.read()
            reading["patches_per_second"] *= processes.world_size
            if log:
                log.add(learner.patches_seen, {**row, **reading})
            show(learner.patches_seen, f"loss {row['loss']:.4f}")
            if _passed(before, learner.patches_seen, config.validate_every) or done:
                best = _validated(learner, best, output, log)
                if log and learner.shares:
                    log.add_shares(learner.patches_seen, learner.shares.shares())
                meter.read()
            if _passed(before, learner.patches_seen, config.save_every) or done or stopped:
                if processes.is_first:
                    write_checkpoint(output / LAST, {**learner.state(), "best": best})
                meter.read()
            if stopped:
                break
    if log:
        log.close()
    return learner.patches_seen


def measure_throughput(
    store: Store,
    config: RunConfig,
    regression: Path | None = None,
    device: torch.device | str = "cpu",
    updates: int = 8,
) -> Throughput:
    """Measure the speed of a run over some updates of a model that is thrown away."""
    device = torch.device(device)
    if config.threads:
        torch.set_num_threads(config.threads)
    enough = config.model_copy(update={"patches": config.batch * (2 * updates + 3)})
    learner = Learner(enough, store, device, _parent(store, config, regression, device))
    loader = Loader(store, split_order(store, "train", config), config.prefetch, pin=device.type == "cuda")
    learner.measure_residual_scale(loader.batches([(0, config.micro_batch)]))
    return throughput(loader, learner.spans(), learner.update, learner.micro_batches, updates)


def planned_noise_levels(store: Store, config: RunConfig, regression: Path | None) -> NoiseLevels | None:
    """Return a diffusion's noise levels, measured on few patches; None for a regression, or where none is named."""
    if config.stage == "regression" or (regression is None and config.base == "regression"):
        return None
    device = torch.device("cpu")
    learner = Learner(config, store, device, _parent(store, config, regression, device))
    count, size = min(config.residual_scale_patches, _PLANNED_PATCHES), config.micro_batch
    batches = Loader(store, split_order(store, "train", config), config.prefetch).batches(
        SINGLE_PROCESS.share(count, size)
    )
    learner.measure_residual_scale(batches)
    return learner.noise_levels


def _resumed(
    store: Store, config: RunConfig, output: Path, device: torch.device, processes: Processes
) -> tuple[Learner, float | None]:
    """Return the learner of the folder's last checkpoint, and the best score so far."""
    content = read_checkpoint(output / LAST)
    with content_of(output / LAST):
        return _learner_of(content, store, config, output, device, processes)


def _learner_of(
    content: dict[str, Any], store: Store, config: RunConfig, output: Path, device: torch.device, processes: Processes
) -> tuple[Learner, float | None]:
    check_store(content["store"], store, output / LAST)
    saved, config = RunConfig.model_validate(content["config"]), config.for_processes(processes.world_size)
    changed = [
        f"  {name}: began with {getattr(saved, name)!r}, now {getattr(config, name)!r}"
        for name in RunConfig.model_fields
        if name not in CHANGEABLE_SETTINGS and getattr(saved, name) != getattr(config, name)
    ]
    if changed:
        raise BadInput(
            "\n".join(
                [f"{output} holds a run of other settings; give another folder, or set these as before:", *changed]
            )
        )
    parent = parent_model(content, store, device) if content["regression"] else None
    learner = Learner(config, store, device, parent, processes)
    learner.resume(content)
    return learner, content["best"]


def begin_from(learner: Learner, start: Path) -> None:
    """Give a new learner the averaged weights of another run; its clock, optimizer and measured scales are its own.

    Raises BadInput, which names what differs, where that run has other channels, features or another network.
    """
    content = read_checkpoint(start)
    with content_of(start):
        saved, fields = RunConfig.model_validate(content["config"]), content["store"]["fingerprint_fields"]
        now = learner.store.attributes["fingerprint_fields"]
        pairs = {
            name: (getattr(saved, name), getattr(learner.config, name))
            for name in ("stage", "size", "extra_features", "predicted_outright")
        }
        pairs |= {f"{role} channels": (fields[role]["channels"], now[role]["channels"]) for role in ("input", "target")}
        pairs["static fields"] = (fields["static"], now["static"])
        if differing := [f"{key} {there}, here {here}" for key, (there, here) in pairs.items() if there != here]:
            raise BadInput(f"{start} has other weights than this run needs: {'; '.join(differing)}; begin from another")
        for model in (learner.model, learner.average):
            for name, value in model.named_parameters():
                value.data.copy_(content["ema"][name])
    if learner.processes.is_first:
        notices.print(f"begins with the weights of {start}, {content['patches_seen']:,} patches seen", soft_wrap=True)


def _parent(store: Store, config: RunConfig, regression: Path | None, device: torch.device) -> Trained | None:
    if config.stage == "regression":
        if regression is not None:
            raise BadInput("the stage regression needs no --regression; leave it out, or give --stage diffusion")
        return None
    if config.base == "interpolation":
        if regression is not None:
            raise BadInput("base=interpolation needs no --regression; leave out one of the two")
        return interpolation(config, store, device)
    if regression is None:
        raise BadInput(
            "the stage diffusion needs --regression, the folder of a run of the stage regression; or, to draw the error"
            " of the interpolated input, --set base=interpolation"
        )
    parent = load_checkpoint(regression, store, device)
    if parent.denoiser is not None:
        raise BadInput(f"{regression} is a diffusion run; name a run of the stage regression")
    return parent


def _validated(learner: Learner, best: float | None, output: Path, log: RunLog | None) -> float | None:
    """Validate, keep the averaged weights if they are the best so far or have no scores, and return the best score."""
    config, store = learner.config, learner.store
    scores: Scores = {}
    if "validation" in store.recipe.splits.intervals:
        loader = Loader(store, split_order(store, "validation", config), config.prefetch)
        scores = validate(learner.trained(), loader, learner.processes)
    found = score(scores) if scores else None
    if log and scores:
        log.add_scores(learner.patches_seen, scores)
    if found is not None and best is not None and found >= best:
        return best
    if learner.processes.is_first:
        kept = {key: value for key, value in learner.state().items() if key not in ("model", "optimizer")}
        write_checkpoint(output / BEST, {**kept, "scores": scores})
    return found


def _passed(before: int, now: int, every: int) -> bool:
    return now // every > before // every
