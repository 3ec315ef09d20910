"""Questions to a catalog: which stores hold a period of these variables, their statistics, their differences.

It knows how rows are selected and merged. It never opens a store and never prints. Start reading at `access.py`.
"""
