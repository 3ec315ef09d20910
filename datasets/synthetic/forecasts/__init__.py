"""Synthetic forecasts of CMA-GFS, CMA-MESO and SFF: the synthetic weather, and errors that grow at a known rate.

It knows the files of the three models and what runs lack. It never writes a number whose expected error is not told by
`errors.py`. Start reading at `archive.py`, then `errors.py`.
"""
