"""Errors that a user can act on."""

from __future__ import annotations


class CorrstoreError(ValueError):
    """An error that a user can act on; its text names the place, the key, both values and the fix."""

    exit_code = 2


class BadInput(CorrstoreError):
    """The recipe, a path or a file is wrong (exit code 2)."""
