"""Grids whose points lie anyhow, and the sparse weights that regrid from them: of triangles, or read from files.

It never reads an archive. Start reading at `points.py`, then `triangles.py`.
"""
