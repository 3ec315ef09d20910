"""NetCDF files and Zarr groups: opening them, their axes and units, and the slices of their variables.

It knows the CF conventions and the names in a source's table. It never knows GRIB. Start reading at `files.py`, then
`slices.py`.
"""
