"""Samples: fields of the archives read, regridded, normalised, counted, written and checked, one valid time at a time.

It knows how one sample comes from its pairs. It never knows how the work is spread over workers. Start reading at
`sample.py`.
"""
