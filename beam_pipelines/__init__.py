"""The work at scale: plan, build and verify, each a linear Beam pipeline over plain functions.

It never holds logic that a plain function of `corrstore.datasets` could hold. Start reading at
`build.py`, then `spreading/spread.py`.
"""
