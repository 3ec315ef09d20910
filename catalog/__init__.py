"""The catalog of stores: their variables, periods, statistics and lineage.

It never reads a source archive and never imports torch or Beam. Start reading at `queries/access.py`.
"""
