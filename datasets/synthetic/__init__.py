"""The synthetic twin of two archives, ERA5 and CMA-RRA: invented weather over an invented land, in genuine GRIB."""

from datasets.synthetic.archive import SyntheticArchive, synthesise
from datasets.synthetic.faults import Fault
from datasets.synthetic.spec import FAULT_KINDS, SyntheticSpec

__all__ = ["FAULT_KINDS", "Fault", "SyntheticArchive", "SyntheticSpec", "synthesise"]
