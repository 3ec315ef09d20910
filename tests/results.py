"""One digest each of what must not change by accident: a store's arrays, scores, and the pictures of a page."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Iterable
from dataclasses import asdict
from math import isfinite

import numpy as np
from PIL import Image

from corrstore.datasets.recipe.parts import ROLES
from corrstore.datasets.recipe.periods import format_time
from corrstore.datasets.storage.folder import Folder
from corrstore.datasets.store.opening import Store
from corrstore.training.diffusion.sampler import SamplerConfig
from corrstore.training.evaluation.predictors.names import ENSEMBLE, INTERPOLATION, MEAN, REGRESSION
from corrstore.training.evaluation.results import ScoreRow
from corrstore.training.forecasts.files import Forecast
from corrstore.training.forecasts.header import Header


def arrays_digest(store: Store) -> str:
    """The SHA-256 of the store's fingerprint, of its stored numbers, and of all other objects but metadata."""
    whole = hashlib.sha256(store.fingerprint.encode())
    folder = Folder(store.folder.url)
    for key in folder.all_keys():
        role = key.split("/")[0]
        if role in ROLES and not key.endswith("zarr.json"):
            continue
        if not key.startswith("ledger/") and not key.endswith("zarr.json"):
            whole.update(f"{key} {hashlib.sha256(folder.read(key)).hexdigest()}\n".encode())
    for role in ROLES:
        for index in range(len(store.times)):
            numbers = np.ascontiguousarray(store.stored(role, index, allow_invalid=True))
            whole.update(f"{role} {index} {hashlib.sha256(numbers.tobytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def header_of(store: Store, times: list[int]) -> Header:
    """The header of a SYNTHETIC forecast of four members at these times of the store."""
    sampler = {key: value for key, value in asdict(SamplerConfig()).items() if isfinite(value)}
    settings = {"model": "none", "input": "none", "input_ledger": "none", "tile": [48, 64], "overlap": 8, "seed": 0}
    return Header(
        title="SYNTHETIC",
        format="zarr",
        times=[format_time(store.times[index]) for index in times],
        members=4,
        grid=store.grid("target").to_dict(),
        channels={str(name): dict(each.attrs) for name, each in store.dataset("target").data_vars.items()},
        settings={**settings, "sampler": sampler},
    )


def forecast_of(store: Store, url: str, times: list[int]) -> Forecast:
    """A SYNTHETIC forecast of four members: the truth and seeded noise, half of it the same in all members."""
    header = header_of(store, times)
    forecast = Forecast(Folder(url), header)
    forecast.create()
    for part in header.parts:
        truth = store.physical("target", times[part.time])
        scale = truth.std(axis=(1, 2), keepdims=True) / 4
        shared = np.random.default_rng([part.time]).standard_normal(truth.shape)
        own = (
            0.0 if part.member is None else np.random.default_rng([part.time, part.member]).standard_normal(truth.shape)
        )
        forecast.write(part, (truth + scale * (shared + own)).astype(np.float32))
    return forecast


def scores_digest(rows: Iterable[ScoreRow]) -> str:
    """The SHA-256 of the scores of the forecast's parts, as comma-separated values rounded to six digits."""
    names = ("mae", "rmse", "bias", "crps", "spread", "spread_skill", "spectral_distance", "fss")
    columns = ("channel", "units", "predictor", "score", "threshold", "width_km", "value")
    lines = [",".join(columns)]
    for row in rows:
        if row.predictor in (INTERPOLATION, REGRESSION, MEAN, ENSEMBLE) and row.score in names:
            where = ["" if each is None else each for each in (row.threshold, row.width_km)]
            lines.append(",".join(map(str, [*row[:4], *where, row.value])))
    rounded = re.sub(r"-?\d+\.\d+(e[+-]\d+)?", lambda number: f"{float(number[0]):.5e}", "\n".join(lines) + "\n")
    return hashlib.sha256(rounded.encode()).hexdigest()


def pictures_digest(html: str) -> str:
    """The SHA-256 of the pixels of a page's PNG pictures, in no order: of its first case, but for differences."""
    html = re.sub(r'<section class="(case case-[1-9]|means)".*?</section>', "", html, flags=re.DOTALL)
    html = re.sub(r'<figure class="map">\s*<figcaption><b>[^<]*− truth.*?</figure>', "", html, flags=re.DOTALL)
    found = set()
    for content in re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", html):
        picture = Image.open(io.BytesIO(base64.b64decode(content))).convert("RGBA")
        found.add(hashlib.sha256(repr(picture.size).encode() + picture.tobytes()).hexdigest())
    assert len(found) > 4
    return hashlib.sha256("".join(sorted(found)).encode()).hexdigest()
