"""GRIB1 and GRIB2 files: an index that reads headers alone, and fields decoded by offset."""
