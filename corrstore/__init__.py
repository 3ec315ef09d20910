"""corrstore: training stores for kilometre-scale downscaling, models trained on them, and forecasts made by those."""

from importlib.metadata import version

__version__ = version("corrstore")
