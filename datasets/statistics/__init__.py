"""Mergeable statistics of fields: counts, moments, extremes and fixed-edge histograms.

It knows how blocks of numbers are counted and merged in any order. It never reads a file. Start reading at
`blocks.py`.
"""
