"""Evaluation: forecasts scored against a store's truth, and the report about it.

It knows scores and their intervals. It never trains a model. Start reading at `agenda.py`, then `evaluate.py`.
"""

from corrstore.training.evaluation.evaluate import evaluate

__all__ = ["evaluate"]
