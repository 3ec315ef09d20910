"""The two ways in which a command ends badly."""

from __future__ import annotations


class CorrstoreError(ValueError):
    """An error that a user can act on; its text names the place, the key, both values and the fix."""

    exit_code = 2


class BadInput(CorrstoreError):
    """The recipe, a path or a file is wrong: nothing was done (exit code 2)."""


class DataShortfall(CorrstoreError):
    """The work was done, but the data falls short of what the recipe asks for (exit code 1)."""

    exit_code = 1
