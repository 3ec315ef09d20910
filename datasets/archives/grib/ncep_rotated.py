"""NCEP's grid definition template 32769, of RAP: written as WMO's template 3.1, which ecCodes reads.

Octets as in NCEP's GRIB2 table 3-32769. The grid is regular around a rotated pole; the template gives its centre, and
the first and last point in latitudes and longitudes of the earth, where WMO's gives the southern pole and rotated ones.
"""

from __future__ import annotations

import numpy as np

from corrstore.datasets.grids.rotated_pole import RotatedPole

_NCEP, _WMO = 32769, 1
_SCAN, _LAST = slice(71, 72), slice(72, 80)
_EAST_FIRST, _SOUTH_FIRST = 0x80, 0x40


def with_known_template(message: bytes) -> bytes:
    """Return a GRIB2 message of one field with its template 32769 written as 3.1; any other message as it is."""
    start = 16
    while message[7] == 2 and message[start + 4 : start + 5] in (b"\1", b"\2"):
        start += int.from_bytes(message[start : start + 4])
    section = message[start : start + int.from_bytes(message[start : start + 4])]
    if message[7] != 2 or section[4:5] != b"\3" or int.from_bytes(section[12:14]) != _NCEP or len(section) < 80:
        return message
    body = message[16:start] + _as_wmo(section) + message[start + len(section) :]
    return message[:8] + (16 + len(body)).to_bytes(8) + body


def _as_wmo(section: bytes) -> bytes:
    centre = [_degrees(section, at) for at in (55, 59)]
    pole = RotatedPole(centre[0] - 90.0, centre[1])
    x, y = pole(_degrees(section, 50), _degrees(section, 46))
    columns, rows = (int.from_bytes(section[at : at + 4]) for at in (30, 34))
    dx, dy = (abs(_degrees(section, at)) for at in (63, 67))
    scan = section[_SCAN]
    x_last = x + dx * (columns - 1) * (-1 if scan[0] & _EAST_FIRST else 1)
    y_last = y + dy * (rows - 1) * (1 if scan[0] & _SOUTH_FIRST else -1)
    if any(section[_LAST]):  # increments are rounded
        x_last, y_last = pole(_degrees(section, 76), _degrees(section, 72))
    content = section[:12] + _WMO.to_bytes(2) + section[14:46] + _coded(y, np.asarray(x) % 360) + section[54:55]
    content += _coded(y_last, np.asarray(x_last) % 360) + _coded(dx, dy) + scan
    content += _coded(pole.south_pole_lat, pole.south_pole_lon % 360) + bytes(4)
    return (len(content)).to_bytes(4) + content[4:]


def _degrees(section: bytes, at: int) -> float:
    """Return the millionths of a degree at a byte of the section; GRIB keeps the sign in the first bit."""
    coded = int.from_bytes(section[at : at + 4])
    return (coded & 0x7FFFFFFF) / 1e6 * (-1 if coded & 0x80000000 else 1)


def _coded(*degrees: float | np.ndarray) -> bytes:
    millionths = [round(float(each) * 1e6) for each in degrees]
    return b"".join((abs(each) | (0x80000000 if each < 0 else 0)).to_bytes(4) for each in millionths)
