"""Pages about stores: the static site of a catalog, and the report of one store.

It knows what a reader of a page looks for and in which order. It never computes a statistic. Start reading at
`page.py`.
"""
