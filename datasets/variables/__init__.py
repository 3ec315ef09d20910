"""The variables of corrstore: names, units, physical ranges, and how a number of each is normalised.

It knows what a channel is and how a physical number becomes a stored one and back. It never knows a grid, a file or a
time. Start reading at `channels.py`.
"""
