"""The models: patches, networks, diffusion, learning, forecasts, evaluation.

It never starts Beam and never reads a source archive. Start reading at `learning/trainer.py`, then
`forecasts/forecast.py`.
"""
