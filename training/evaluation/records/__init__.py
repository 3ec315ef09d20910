"""The records of an evaluation: where they lie, what they are of, and how they are made while a forecast is drawn.

It never computes a score. Start reading at `records.py`.
"""
