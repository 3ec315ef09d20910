"""Horizontal grids and what moves fields between them: axes, regridding, rotation of winds.

It knows coordinates and projections. It never reads a file and knows no variable. Start reading at
`rectilinear.py`, then `regrid.py`.
"""
