"""The variables of corrstore: names, units, physical ranges, and how a number of each is normalised.

It knows what a channel is and how a physical number becomes a stored one and back. It never knows a grid, a file or a
time. The table is `variables.yaml`.
Start reading at `table.py`, then `channels.py`.
"""
