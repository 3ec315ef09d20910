"""Which stores there are: variables, periods, statistics, lineage.

It never reads a source archive and never imports torch or Beam. Start reading at `queries/access.py`.
"""
