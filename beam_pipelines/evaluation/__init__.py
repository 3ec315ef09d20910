"""Evaluation at scale: a record a sample, which the driver brings together.

It never computes a score: `corrstore.training.evaluation` does. Start reading at `evaluate.py`.
"""
