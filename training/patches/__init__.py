"""Patches: where they lie, how they are read from a store, and what a network sees of them.

It knows the store's arrays and the order in which patches are drawn. It never knows a model's weights. Start reading
at `patches.py`, then `loader.py`.
"""
