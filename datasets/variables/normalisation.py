"""Normalisation of physical fields to the numbers of a store, and back: transform, centre, scale, round."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numba import njit
from numpy.typing import NDArray

from corrstore.datasets.errors import BadInput
from corrstore.datasets.variables.half_precision import round_to_half
from corrstore.datasets.variables.transforms import Transform

StoredType = Literal["float16", "float32"]

_CHUNK = 1 << 14
_EPSILON = float(np.finfo(np.float64).eps)
_MANTISSA_BITS = {"float16": 10, "float32": 23}
_LEAST_EXPONENT = {"float16": -14, "float32": -126}


class ExactNumber(NamedTuple):
    """A physical number that storing keeps exactly, and the normalised numbers that stand for it."""

    physical: float
    normalised: float
    tolerance: float


@dataclass(frozen=True)
class Normalisation:
    """The constants of one channel: stored = (transform(physical) - mean) / std.

    `mean` and `std` are in transformed units. What is stored within rounding of an `exact` number is that number.
    Errors: BadInput where constants are not finite or std is not above zero.
    """

    transform: Transform
    mean: float
    std: float
    exact: tuple[ExactNumber, ...] = ()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and math.isfinite(self.std) and self.std > 0):
            raise BadInput(
                f"normalisation has mean {self.mean} and std {self.std}, expected finite numbers and std above 0; "
                "take the constants from a period in which the channel varies"
            )

    def __reduce__(self) -> tuple[type[Normalisation], tuple[Transform, float, float, tuple[ExactNumber, ...]]]:
        return Normalisation, (self.transform, self.mean, self.std, self.exact)

    def keeping(self, dtype: StoredType, *numbers: float | None) -> Normalisation:
        """Return the constants with these numbers as the exact ones of a store of `dtype`.

        Normalised numbers that `dtype` rounds to the same stand for one. None, and a number that cannot be stored, are
        left out.
        """
        plain = replace(self, exact=())
        exact = (plain._exact_number(number, dtype) for number in numbers if number is not None)
        return replace(plain, exact=tuple(each for each in exact if each is not None))

    def _exact_number(self, physical: float, dtype: StoredType) -> ExactNumber | None:
        try:
            stored = self.encode(np.array([physical], np.float32), dtype)[0]
        except BadInput:
            return None
        ends = (np.nextafter(stored, stored.dtype.type(end)) for end in (-np.inf, np.inf))
        tolerance = min(abs(float(end) - float(stored)) for end in ends) / 2
        return ExactNumber(float(physical), float(stored), tolerance)

    def exactly(self, physical: Any, normalised: Any, library: Any = np) -> Any:
        """Return decoded physical numbers, of these normalised ones, with an exact number where they stand for it.

        `library` is `numpy` for arrays, `torch` for tensors.
        """
        for exact in self.exact:
            near = library.abs(normalised - exact.normalised) <= exact.tolerance
            physical = library.where(near, exact.physical, physical)
        return physical

    def encode(self, physical: NDArray[Any], dtype: StoredType, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """The numbers to store for a physical field.

        Args: `physical` float32 (or float64) of any shape; `out`, if given, a C-contiguous array of that shape and
        of `dtype`, which is filled and returned.
        Reckoned in float64, rounded to float32 and, for float16, from there to float16, each to nearest even. NaN
        stays NaN (in float16 as 0x7e00, whatever its payload).
        Errors: BadInput for a number below the transform's domain and for one beyond the largest of `dtype`; `out`
        is then partly written.
        """
        stored_type(dtype)
        out = np.empty(physical.shape, dtype) if out is None else out
        if out.shape != physical.shape or out.dtype != dtype or not out.flags.c_contiguous:
            raise ValueError(
                f"out is {out.dtype}{out.shape}, expected C-contiguous {dtype}{physical.shape} to encode into"
            )
        source, stored = np.ascontiguousarray(physical).reshape(-1), out.reshape(-1)
        for start in range(0, source.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            self._encode_chunk(source[part], stored[part])
        return out

    def _encode_chunk(self, physical: NDArray[Any], stored: NDArray[Any]) -> None:
        unchanged = self.transform.name == "identity"
        if not unchanged and (physical < self.transform.lowest).any():
            raise BadInput(
                f"value {np.nanmin(physical)} is below {self.transform.lowest}, where {self.transform.name} begins; "
                "declare a floor for this variable or another transform"
            )
        half = stored.dtype == np.float16
        normalised = np.empty(physical.shape, np.float32) if half else stored
        transformed = physical if unchanged else self.transform.forward(physical.astype(np.float64))
        bits = _normalise(transformed, self.mean, self.std, normalised, normalised.view(np.uint32))
        largest = np.uint32(bits).view(np.float32)
        if largest > np.finfo(stored.dtype).max:
            worst = physical[np.nanargmax(np.abs(normalised))]
            raise BadInput(
                f"value {worst} normalises to {largest:.6g}, beyond the largest {stored.dtype} "
                f"{np.finfo(stored.dtype).max}; correct the field or the constants (mean {self.mean}, std {self.std})"
            )
        if half:
            round_to_half(normalised, stored.view(np.uint16))

    def decode(self, stored: NDArray[Any]) -> NDArray[np.float64]:
        """Return the physical values: inverse(stored * std + mean), in float64, and the exact number where it is."""
        if stored.dtype == np.float16:
            return self.decoded_codes[stored.view(np.uint16)]
        return self._decoded(stored.astype(np.float64))

    def decode_float32(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        """Return the physical values of `decode` rounded to float32."""
        return self.decode(stored).astype(np.float32)

    @cached_property
    def decoded_codes(self) -> NDArray[np.float64]:
        """The physical value of each of the 65536 float16 codes, [65536], indexed by the code's bits."""
        decoded = self._decoded(np.arange(1 << 16, dtype=np.uint16).view(np.float16).astype(np.float64))
        decoded.flags.writeable = False
        return decoded

    def _decoded(self, normalised: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(over="ignore", invalid="ignore"):
            decoded = self.transform.inverse(normalised * self.std + self.mean)
            found: NDArray[np.float64] = self.exactly(decoded, normalised)
        return found

    def error_bound(self, low: float, high: float, dtype: StoredType) -> float:
        """An upper bound, in physical units, of |decode(encode(x)) - x| for every float x in [low, high].

        Half a unit in the last place of the largest normalised magnitude, and the float32 and float64 rounding on
        the way, times std, times the steepest slope of the inverse, which is at one of the two ends (mean value
        theorem); or the distance of an exact number to the last number that is stored as it.
        Errors: BadInput for an interval that is empty, leaves the transform's domain or cannot be stored in `dtype`.
        """
        stored_type(dtype)
        if not self.transform.lowest <= low <= high < math.inf:
            raise BadInput(
                f"error bound asked for [{low}, {high}], expected a finite interval from {self.transform.lowest} up"
            )
        ends = self.transform.forward(np.array([low, high], np.float64))
        largest = float(np.abs((ends - self.mean) / self.std).max()) * (1 + 4 * _EPSILON)
        if not largest <= float(np.finfo(dtype).max):
            raise BadInput(f"[{low}, {high}] normalises to {largest:.6g}, beyond the largest {dtype}")
        rounding = _half_ulp(largest, "float32")
        if dtype == "float16":
            rounding += _half_ulp(largest + rounding, "float16")
        magnitude = float(np.abs(ends).max()) + abs(self.mean) + self.std * (largest + rounding)
        transformed = self.std * rounding + 8 * _EPSILON * magnitude
        steepest = self.transform.inverse_slope(np.array([ends[0] - transformed, ends[1] + transformed])).max()
        error = float(transformed * steepest)
        for exact in (each for each in self.exact if low <= each.physical <= high):
            reach = 2.01 * exact.tolerance * np.array([-1, 1])  # there is twice the room above a power of 2
            last = self.transform.inverse((exact.normalised + reach) * self.std + self.mean)
            error = max(error, float(np.abs(last - exact.physical).max()))
        return error + 8 * _EPSILON * (max(abs(low), abs(high)) + error)


def stored_type(name: str) -> StoredType:
    """Return `name` as a type that a store can hold; raise BadInput, with the names that exist, where it is none."""
    for known in get_args(StoredType):
        if name == known:
            return known
    raise BadInput(f"unknown dtype {name!r}; a store holds {' or '.join(get_args(StoredType))}")


def _half_ulp(magnitude: float, dtype: StoredType) -> float:
    """Return half the distance between neighbouring numbers of `dtype` at `magnitude`."""
    exponent = max(math.frexp(magnitude)[1] - 1, _LEAST_EXPONENT[dtype])
    return math.ldexp(0.5, exponent - _MANTISSA_BITS[dtype])


@njit(cache=True, nogil=True)
def _normalise(
    transformed: NDArray[Any],
    mean: float,
    std: float,
    normalised: NDArray[np.float32],
    bits: NDArray[np.uint32],
) -> np.uint32:
    """Normalise, and return the bits of the largest magnitude that is a number; `bits` are those of `normalised`."""
    for i in range(transformed.size):
        normalised[i] = np.float32((np.float64(transformed[i]) - mean) / std)
    largest = np.uint32(0)
    for i in range(bits.size):  # magnitudes are in the order of their bits, NaN after infinity
        magnitude = bits[i] & np.uint32(0x7FFFFFFF)
        largest = max(largest, magnitude if magnitude <= np.uint32(0x7F800000) else np.uint32(0))
    return largest
