"""Exports of a catalog for other systems: STAC collections and dataset cards.

It knows the formats of others. It never changes the catalog. Start reading at `stac.py`.
"""
