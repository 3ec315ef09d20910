"""Diffusion as EDM defines it (arXiv 2206.00364): preconditioning, loss, samplers, noise, the scale of the residual.

It knows noise levels and denoisers. It never knows a channel or a file. Start reading at `edm.py`, then `sampler.py`
and `noise.py`.
"""
