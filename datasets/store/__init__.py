"""The training store: its layout, its shards, its ledger, and the functions that open it.

It knows every object of a store and what is written beside the arrays. It never reads an archive. Start reading at
`layout.py` to write one and at `opening.py` to read one.
"""

from corrstore.datasets.store.opening import Store, open_store

__all__ = ["Store", "open_store"]
