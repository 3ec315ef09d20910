"""Learning: a run from a store and its settings to checkpoints, logs and validation scores.

It knows updates, checkpoints and processes. It never draws a forecast. Start reading at `trainer.py`, then
`learner.py`.
"""
