"""Checkpoints: writing them whole or not at all, and reading a trained model from one."""

from __future__ import annotations

import os
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from corrstore.datasets.errors import BadInput, CorrstoreError, DamagedData, fault_of_file, writing
from corrstore.datasets.grids.grid import grid_from_dict
from corrstore.datasets.recipe.parts import ROLES
from corrstore.datasets.storage.folder import absolute
from corrstore.datasets.store.opening import Store
from corrstore.training.diffusion.edm import Denoiser
from corrstore.training.diffusion.levels import NoiseLevels
from corrstore.training.diffusion.residual import ResidualScale
from corrstore.training.learning.models import denoiser_for, frozen, regression_for
from corrstore.training.networks.regression import Prediction, Regression
from corrstore.training.patches.features import Features
from corrstore.training.patches.fixed import StaticScale, static_scales
from corrstore.training.run_config import RunConfig

FORMAT = "corrstore checkpoint 7"
BEST, LAST = "best.pt", "last.pt"


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model on one device: averaged (EMA) weights, in eval mode, without gradients.

    A diffusion checkpoint holds the regression that it was trained on, so one file is all that sampling needs.
    `denoiser`, `residual_scale` and `noise_levels` are None for a regression. `config` is the run's; `store` describes
    the store of the training: `url`, `fingerprint`, `fingerprint_fields`; `file` is the checkpoint's.
    """

    config: RunConfig
    patches_seen: int
    store: dict[str, Any]
    features: Features
    regression: Regression
    denoiser: Denoiser | None = None
    residual_scale: ResidualScale | None = None
    noise_levels: NoiseLevels | None = None
    file: Path | None = None

    @torch.no_grad()
    def prediction(self, condition: Tensor) -> Prediction:
        """Return the regression's prediction (batch, target channels, height, width), normalised, float32.

        `condition` comes from `features.condition`.
        """
        with autocast(self.config, condition.device):
            return Prediction(*(each.float() for each in self.regression(condition)))

    def diffusion_condition(self, condition: Tensor) -> Tensor:
        """Return the denoiser's condition: the features, then the regression's mean and spread."""
        return torch.cat([condition, *self.prediction(condition)], dim=1)

    @torch.no_grad()
    def denoise(self, x: Tensor, sigma: Tensor, condition: Tensor) -> Tensor:
        """Return the denoiser's estimate of standardised residuals; `condition` comes from `diffusion_condition`."""
        assert self.denoiser is not None, "a regression has no denoiser"
        with autocast(self.config, condition.device):
            return self.denoiser(x, sigma, condition)

    def combined(self, prediction: Prediction, x: Tensor) -> Tensor:
        """Return normalised target fields from the prediction and a sampled residual."""
        assert self.residual_scale is not None, "a regression has no residual"
        return prediction.mean + prediction.spread * self.residual_scale.restored(x)


def autocast(config: RunConfig, device: torch.device) -> torch.autocast:
    """Return the context in which the network computes with the precision of the run."""
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")


def load_checkpoint(path: Path | str, store: Store, device: torch.device | str = "cpu") -> Trained:
    """Return the trained model of a checkpoint file, or of the best checkpoint in a run's folder.

    Raises BadInput, which names the file, where there is none, it is damaged, it is not corrstore's, or the store is
    not like the one of the training: then with the fields that differ, and both values.
    """
    content = read_checkpoint(path)
    with content_of(_file(path)):
        check_store(content["store"], store, path, "position" in content["config"]["extra_features"])
        return replace(trained_model(content, store, device), file=_file(path))


@contextmanager
def content_of(file: Path) -> Iterator[None]:
    """Raise DamagedData where the block finds that a checkpoint's content is not what corrstore writes."""
    try:
        yield
    except CorrstoreError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, AssertionError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "state_dict" not in str(error):
            raise  # of the machine, such as its memory
        raise DamagedData(
            f"{file} has the form of a checkpoint and other content ({fault_of_file(error)}); use another one"
        ) from None


def trained_model(content: dict[str, Any], store: Store, device: torch.device | str = "cpu") -> Trained:
    """Return the trained model in a checkpoint's content."""
    fields = content["store"]["fingerprint_fields"]
    config = RunConfig.model_validate(content["config"])
    scales = [StaticScale(*each) for each in content["static"]]
    features = Features(store, scales, device, fields, config.extra_features)
    common = (config, content["patches_seen"], content["store"], features)
    if content["regression"] is None:
        regression = regression_for(config, fields)
        regression.load_state_dict(content["ema"])
        return Trained(*common, frozen(regression, device))
    denoiser = denoiser_for(config, fields, content["ema"]["octave_variance"])
    denoiser.load_state_dict(content["ema"])
    regression = parent_model(content, store, device).regression
    residual_scale = ResidualScale(*content["residual_scale"]).to(device)
    levels = NoiseLevels(**content["noise_levels"])
    return Trained(*common, regression, frozen(denoiser, device), residual_scale, levels)


def parent_model(content: dict[str, Any], store: Store, device: torch.device | str = "cpu") -> Trained:
    """Return the regression that a diffusion model was trained on, from the content of the diffusion's checkpoint."""
    return trained_model({**content, **content["regression"], "regression": None}, store, device)


def interpolation(config: RunConfig, store: Store, device: torch.device | str = "cpu") -> Trained:
    """Return the interpolated input as a regression that was never trained: it adds nothing, its spread is 1."""
    own, extra = config.model_copy(update={"stage": "regression", "size": "tiny"}), config.extra_features
    features = Features(store, static_scales(store, extra), device, extra=extra)
    regression = regression_for(own, store.attributes["fingerprint_fields"])
    return Trained(own, 0, recorded_store(store), features, frozen(regression, device))


def recorded_store(store: Store) -> dict[str, Any]:
    """Return what a checkpoint keeps of the store that it was trained on."""
    attributes = store.attributes
    return {
        "url": absolute(store.folder.url),
        "fingerprint": store.fingerprint,
        "fingerprint_fields": attributes["fingerprint_fields"],
    }


def read_checkpoint(path: Path | str) -> dict[str, Any]:
    """Return the content of a checkpoint file, or of the best one in a run's folder, on the CPU; errors as above."""
    file = _file(path)
    if os.path.lexists(file) and not file.is_file():
        begins = "the run begins anew without it" if file.name == LAST else f"name the run's {LAST} in its place"
        raise DamagedData(f"{file} is no file that can be read; remove it: {begins}")
    if not file.is_file():
        raise BadInput(f"no checkpoint {file}; train first, or name a run's folder or one of its .pt files")
    damaged = DamagedData(
        f"{file} is damaged or cut short, or no checkpoint; use another one of the run; without {LAST} it begins anew"
    )
    try:
        with zipfile.ZipFile(file) as archive:
            if archive.testzip() is not None:
                raise damaged
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (zipfile.BadZipFile, EOFError, RuntimeError, ValueError, KeyError) as error:
        raise damaged from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise BadInput(f"{file} has the format {found!r}, but this corrstore reads {FORMAT!r}; train again")
    return content


def _file(path: Path | str) -> Path:
    is_run = Path(path).is_dir() and Path(path).name not in (BEST, LAST)
    return Path(path) / BEST if is_run else Path(path)


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint whole or not at all: under another name first, then moved.

    Raises OutOfResources where the disk is full, and BadInput where the folder cannot be written.
    """
    temporary = path.with_name(f".partial-{uuid.uuid4().hex}")
    try:
        with writing(path):
            with temporary.open("wb") as file:
                torch.save({"format": FORMAT, **content}, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def check_store(trained_on: dict[str, Any], store: Store, path: Path | str, position: bool = True) -> None:
    """Raise BadInput, with the fields that differ, unless the store has the fingerprint that was trained on.

    Of a store that lacks a role, what it has of it is compared: the grid of a target that it shall get. A model that is
    not told the `position` may have another grid of the same resolution.
    """
    if trained_on["fingerprint"] == store.fingerprint:
        return
    if "input" not in store.roles:
        raise BadInput(f"{store.folder.url} has no input; give a store that has the input of {trained_on['url']}")
    trained, fields = ({**each} for each in (trained_on["fingerprint_fields"], store.attributes["fingerprint_fields"]))
    for role in set(ROLES) - set(store.roles):
        fields.setdefault(role, {})
        trained[role] = {key: value for key, value in trained[role].items() if key in fields[role]}
    if not position:
        trained, fields = _with_resolutions(trained), _with_resolutions(fields)
    found = "\n".join(_differences(trained, fields))
    if not found:
        return
    raise BadInput(
        f"{path} was trained on a store of fingerprint {trained_on['fingerprint']} ({trained_on['url']}), but"
        f" {store.folder.url} has {store.fingerprint}; take a store built by the same recipe, or `like`"
        f" that one. Different are:\n{found}"
    )


def other_grid(trained: Trained, store: Store) -> str:
    """Return what must be said where a model without position is applied to another grid than its own; else nothing."""
    known = trained.store["fingerprint_fields"]["target"]["grid"]
    if store.grid("target").to_dict() == known:
        return ""
    return (
        f"the model has no position channels: it was trained on {grid_from_dict(known)}, and is applied to another"
        f" grid, {store.grid('target')}"
    )


def _with_resolutions(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields with the grids' resolutions in degrees in place of the grids."""

    def resolution(grid: dict[str, Any]) -> list[float]:
        return [round(step, 6) for step in grid_from_dict(grid).resolution]

    return {
        name: {**value, "grid": resolution(value["grid"])} if name in ROLES and "grid" in value else value
        for name, value in fields.items()
    }


def _differences(trained: Any, now: Any, name: str = "") -> Iterator[str]:
    if isinstance(trained, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*trained, *now]):
            yield from _differences(trained.get(key), now.get(key), f"{name}.{key}" if name else key)
    elif isinstance(trained, list) and isinstance(now, list) and len(trained) == len(now):
        for position, (one, other) in enumerate(zip(trained, now, strict=True)):
            yield from _differences(one, other, f"{name}[{position}]")
    elif trained != now:
        yield f"  {name}: trained on {trained!r}, this store has {now!r}"
