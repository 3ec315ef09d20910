"""corrstore: training stores for kilometre-scale downscaling, models trained on them, and forecasts made by those."""


def __getattr__(name: str) -> str:
    """Return the version, which takes longer to find than a command may take to hear signals."""
    if name != "__version__":
        raise AttributeError(f"module 'corrstore' has no attribute {name!r}")
    from importlib.metadata import version

    return version("corrstore")
