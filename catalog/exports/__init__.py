"""What other systems read of a catalog: STAC collections and dataset cards.

It knows the formats of others. It never changes the catalog. Start reading at `stac.py`.
"""
