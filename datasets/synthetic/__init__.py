"""The synthetic twin of two archives, ERA5 and CMA-RRA: invented weather over an invented land, in genuine GRIB.

It knows the file conventions of both archives and the faults of real ones. It never serves as real data: whatever it
writes is labelled SYNTHETIC. Start reading at `archive.py`, then `weather/`.
"""

from corrstore.datasets.synthetic.archive import SyntheticArchive, synthesise
from corrstore.datasets.synthetic.faults import Fault
from corrstore.datasets.synthetic.spec import FAULT_KINDS, SyntheticSpec

__all__ = ["FAULT_KINDS", "Fault", "SyntheticArchive", "SyntheticSpec", "synthesise"]
