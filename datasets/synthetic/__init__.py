"""The synthetic twin of real archives: invented weather over an invented land, in genuine GRIB and Zarr.

It knows the file conventions of ERA5, CMA-RRA, CMA-GFS and CMA-MESO and the faults of real archives. It never serves as
real data: whatever it writes is labelled SYNTHETIC. Start reading at `archive.py`, then `weather/` and `forecasts/`.
"""

from corrstore.datasets.synthetic.archive import ARCHIVES, SyntheticArchive, made_whole, synthesise
from corrstore.datasets.synthetic.faults import Fault
from corrstore.datasets.synthetic.forecasts.archive import MODELS, ForecastArchive, synthesise_forecasts
from corrstore.datasets.synthetic.forecasts.spec import FORECAST_FAULTS, ForecastSpec
from corrstore.datasets.synthetic.rerun import rerun
from corrstore.datasets.synthetic.spec import FAULT_KINDS, SyntheticSpec

__all__ = [
    "ARCHIVES",
    "FAULT_KINDS",
    "FORECAST_FAULTS",
    "MODELS",
    "Fault",
    "ForecastArchive",
    "ForecastSpec",
    "SyntheticArchive",
    "SyntheticSpec",
    "made_whole",
    "rerun",
    "synthesise",
    "synthesise_forecasts",
]
