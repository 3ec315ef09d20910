"""Archives of GRIB, NetCDF and Zarr: which fields they hold, and where each lies.

It knows file formats and the tables that turn numbers of a file into variables. It never chooses which field a sample
takes and never writes. Start reading at `inventory.py`; the tables are in `tables/`.
"""
