"""Pairing: for each valid time, which references of the archives make up the sample.

It knows valid times, runs, leads and windows of accumulation. It never decodes a field. Start reading at `pairs.py`.
"""
