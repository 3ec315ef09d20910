"""The files of CMA-GFS and CMA-MESO: one for each run and lead, in CMA's GRIB2, named as at CMA."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from corrstore.datasets.synthetic.cma import OROGRAPHY, SURFACE_FIELDS, CmaEncoder
from corrstore.datasets.synthetic.forecasts.models import ModelRun
from corrstore.datasets.synthetic.grib import SYNTHETIC_PROCESS

COLD_START = "cold start"
COLD_START_PROCESS = SYNTHETIC_PROCESS + 1
_GFS_FIELDS = ("t2m", "d2m", "q2m", "u10m", "v10m", "sp", "msl", "rain", "soil")
_NAMES = {
    ("cma_gfs", "cemc"): "gmf.gra.{init}{lead:03}.grb2",
    ("cma_gfs", "cmadaas"): "Z_NAFP_C_BABJ_{init}0000_P_NWPC-GRAPES-GFS-GLB-{lead:03}00.grib2",
    ("cma_meso", "cemc"): "rmf.hgra.{init}{lead:03}.grb2",
    ("cma_meso", "cmadaas"): "Z_NAFP_C_BABJ_{init}0000_P_NWPC-GRAPES-3KM-ORIG-{lead:03}00.grb2",
}


def write_cma_file(folder: Path, run: ModelRun, lead: np.timedelta64) -> Path:
    """Write the file of a lead below `folder` and return its path.

    CMA-MESO's cold start has files of the same names in a folder of its own, and another generating process.
    """
    digits = str(run.init_time.astype("datetime64[h]")).replace("-", "").replace("T", "")
    start = {"cma_meso": "ORIG_COLD" if run.stream == COLD_START else "ORIG"}.get(run.model, "")
    name = _NAMES[run.model, run.spec.names].format(init=digits, lead=int(lead / np.timedelta64(1, "h")))
    path = folder / run.model / digits / start / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_encoded(run, lead))
    return path


def _encoded(run: ModelRun, lead: np.timedelta64) -> bytes:
    spec = run.spec
    process = COLD_START_PROCESS if run.stream == COLD_START else SYNTHETIC_PROCESS
    encoder = CmaEncoder(run.grid, spec.interval, spec.archive.packing, process)
    times = (run.init_time, run.init_time + lead)
    fields = run.fields(lead)
    on_surface = [each for each in SURFACE_FIELDS if run.model == "cma_meso" or each.name in _GFS_FIELDS]
    messages = [encoder.message(record, fields[record.name], *times) for record in on_surface]
    for level in spec.archive.levels:
        of_level = {name.partition("_")[0]: each for name, each in fields.items() if name.endswith(f"_{level}")}
        messages += encoder.on_level(of_level, level, *times)
    messages.append(encoder.message(OROGRAPHY, run.invariants()["orog"], *times))
    return b"".join(message.data for message in messages)
