"""The faults of real archives, made on purpose and listed."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from corrstore.datasets.recipe.periods import format_time
from corrstore.datasets.synthetic.grib import SyntheticMessage, changed, data_section, values_of
from corrstore.datasets.synthetic.spec import FAULT_KINDS, SyntheticSpec

_HOUR = np.timedelta64(1, "h")
_PRELIMINARY = {"experimentVersionNumber": "0005"}


@dataclass(frozen=True)
class Fault:
    """One fault: its kind, the file below the archive's folder, the valid time, and the affected channels."""

    kind: str
    file: str
    valid_time: str
    variables: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.kind}: {', '.join(self.variables)} at {self.valid_time} in {self.file}"


@dataclass
class FaultMaker:
    """A maker of faults. It damages one valid time for each kind of fault, and lists the faults."""

    spec: SyntheticSpec
    done: list[Fault] = field(default_factory=list)
    _times: dict[str, np.datetime64] = field(init=False)

    def __post_init__(self) -> None:
        order = np.random.default_rng([self.spec.seed, zlib.crc32(b"faults")])
        times = order.permutation(self.spec.valid_times[1:])
        kinds = [kind for kind in FAULT_KINDS if kind in self.spec.faults]
        self._times = dict(zip(kinds, times, strict=False))

    def damage_fine(
        self, file: str, valid_time: np.datetime64, messages: list[SyntheticMessage]
    ) -> list[SyntheticMessage]:
        """Return the messages of a fine file, damaged at the valid times chosen for faults."""
        for kind, damage in _DAMAGES.items():
            if self._times.get(kind) == valid_time:
                messages, names = damage(messages)
                self._note(kind, file, valid_time, names)
        return messages

    def damage_hour(self, file: str, hour: np.datetime64, messages: list[SyntheticMessage]) -> list[SyntheticMessage]:
        """Return the messages of one coarse hour: none or duplicates where the hour is chosen for a fault.

        The hour that goes missing lies inside the window of a valid time; every hour of such a window is there twice.
        """
        names = [message.name for message in messages]
        inside = (min(self.spec.frequency, 2) - 1) * _HOUR
        if "missing_hour" in self._times and hour == self._times["missing_hour"] - inside:
            self._note("missing_hour", file, hour, names)
            return []
        window = self.spec.frequency * _HOUR
        if "expver_mix" in self._times and 0 * _HOUR <= self._times["expver_mix"] - hour < window:
            self._note("expver_mix", file, hour, names)
            return [*messages, *(_preliminary(message) for message in messages)]
        return messages

    def _note(self, kind: str, file: str, valid_time: np.datetime64, names: list[str]) -> None:
        self.done.append(Fault(kind, file, format_time(valid_time), tuple(names)))


def _truncated(messages: list[SyntheticMessage]) -> tuple[list[SyntheticMessage], list[str]]:
    """Cut the file in the middle of a message, as a broken transfer does."""
    cut = len(messages) // 2
    half = SyntheticMessage(messages[cut].name, messages[cut].data[: len(messages[cut].data) // 2])
    return [*messages[:cut], half], [message.name for message in messages[cut:]]


def _corrupt(messages: list[SyntheticMessage]) -> tuple[list[SyntheticMessage], list[str]]:
    """Overwrite the start of a data section with zeros; the message's headers stay valid."""
    at = _index_of("t2m", messages)
    data = bytearray(messages[at].data)
    start = data_section(messages[at])
    sector = slice(start, min(start + 512, len(data) - 4))
    data[sector] = bytes(sector.stop - sector.start)
    return [*messages[:at], SyntheticMessage("t2m", bytes(data)), *messages[at + 1 :]], ["t2m"]


def _with_bitmap(messages: list[SyntheticMessage]) -> tuple[list[SyntheticMessage], list[str]]:
    """Mark the southern quarter of a field as missing."""
    at = _index_of("u10m", messages)
    values = values_of(messages[at])
    values[3 * values.size // 4 :] = np.nan
    return [*messages[:at], changed(messages[at], {}, values), *messages[at + 1 :]], ["u10m"]


def _preliminary(message: SyntheticMessage) -> SyntheticMessage:
    return changed(message, _PRELIMINARY, 1.002 * values_of(message))


def _index_of(name: str, messages: list[SyntheticMessage]) -> int:
    return [message.name for message in messages].index(name)


_DAMAGES: dict[str, Callable[[list[SyntheticMessage]], tuple[list[SyntheticMessage], list[str]]]] = {
    "truncated": _truncated,
    "corrupt_message": _corrupt,
    "bitmap": _with_bitmap,
}
