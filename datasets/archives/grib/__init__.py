"""GRIB1 and GRIB2 files: an index that reads headers alone, and fields decoded by offset.

It knows sections, keys, grids and packings as WMO and ecCodes define them. It never knows corrstore's variables. Start
reading at `index.py`, then `decode.py`.
"""
