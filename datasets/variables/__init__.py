"""The variables of corrstore: names, units, physical ranges, and how a number of each is normalised.

It knows what a channel is, how a physical number becomes a stored one and back, and how one channel is derived from
others. It never knows a grid, a file or a time. The tables are `variables.yaml` and `derivations.yaml`.
Start reading at `table.py`, then `channels.py`.
"""
