"""The header of a forecast that a model draws from a store: its grid, its channels, its lineage."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corrstore.catalog.printing.wording import is_synthetic
from corrstore.datasets.grids.rectilinear import RectilinearGrid
from corrstore.datasets.recipe.periods import format_time
from corrstore.datasets.recipe.recipe import Recipe
from corrstore.datasets.storage.folder import absolute
from corrstore.datasets.store.fields import channel_attributes
from corrstore.datasets.store.opening import Store
from corrstore.training.forecasts.header import Format, Header
from corrstore.training.forecasts.settings import SamplingSettings
from corrstore.training.learning.checkpoint import Trained, other_grid

_SYNTHETIC = "SYNTHETIC: the input was computed for demonstration. Nothing in it was observed."


def header_of(
    trained: Trained, store: Store, samples: NDArray[np.int64], sampling: SamplingSettings, form: Format
) -> Header:
    """Return the header of the forecast of these samples, indices in the store."""
    recipe, axes, features = store.recipe, store.axes, trained.features
    synthetic = is_synthetic(recipe.name, recipe.title)
    grid, region = features.geometry.target_grid, sampling.region or features.geometry.domain
    rows, columns = region.slices
    return Header(
        title=f"{'SYNTHETIC forecast' if synthetic else 'Forecast'} from {recipe.title or recipe.name}",
        format=form,
        times=[format_time(axes.valid_times[index]) for index in samples],
        inits=[] if axes.inits is None else [format_time(axes.init_times[index]) for index in samples],
        members=sampling.members,
        grid=RectilinearGrid(grid.lat[rows], grid.lon[columns]).to_dict(),
        channels={name: _attributes(recipe, name) for name in features.target_names},
        settings={
            "model": model_digest(trained),
            "input": recipe.name,
            "input_ledger": store.attributes["ledger_digest"],
            **sampling.settings(),
        },
        lineage={**_lineage(trained, store), **({"synthetic": _SYNTHETIC} if synthetic else {})},
    )


def model_digest(trained: Trained) -> str:
    """Return a digest of the model's numbers: weights and scales."""
    digest = hashlib.sha256(trained.config.precision.encode())
    numbers = [*trained.regression.state_dict().values()]
    if trained.denoiser is not None and trained.residual_scale is not None:
        numbers += [*trained.denoiser.state_dict().values(), trained.residual_scale.mean, trained.residual_scale.std]
    for each in numbers:
        digest.update(each.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def _attributes(recipe: Recipe, name: str) -> dict[str, Any]:
    said = [f"numbers below {recipe.floors[name]:g} were raised to it"] if name in recipe.floors else []
    said += [f"numbers above {recipe.caps[name]:g} were lowered to it"] if name in recipe.caps else []
    comment = {"comment": "; ".join(said)} if said else {}
    return {**channel_attributes(recipe, recipe.channel(name)), **comment}


def _lineage(trained: Trained, store: Store) -> dict[str, str]:
    """Return where the model and the input lay, their digests, and the software."""
    found = {
        "software": f"corrstore {version('corrstore')}",
        "store": absolute(store.folder.url),
        "store_fingerprint": store.fingerprint,
    }
    if said := other_grid(trained, store):
        found["grid"] = said
    if trained.file is None:
        return found
    with trained.file.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {**found, "checkpoint": str(trained.file.absolute()), "checkpoint_sha256": digest}
