"""Scoring: the sums of one sample, and the scores that are computed from them.

It knows arrays and their weights. It never reads a file. Start reading at `tallies.py`, then `scores.py`.
"""
