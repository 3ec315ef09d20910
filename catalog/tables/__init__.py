"""The tables of a catalog: Parquet files that any number of processes add to at once.

It knows how stores are registered, found again and forgotten. It never answers a question about them. Start reading at
`registration.py`, then `reading.py`.
"""
