"""The recipe: the YAML text that says which archives become which training store, and its periods of time.

It knows what a user may write and refuses what contradicts itself. It never opens an archive or a store. Start reading
at `recipe.py`; the shipped recipes are in `recipes/`.
"""
