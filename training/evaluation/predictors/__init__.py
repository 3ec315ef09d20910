"""Predictors: the compared fields of a sample, and what they are measured on.

It knows which fields are compared. It never scores them. Start reading at `comparison.py`, then `sample.py`.
"""
