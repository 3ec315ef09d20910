"""The data: variables, grids, archives, recipes, and the layout of a training store.

It never starts Beam and never imports torch. Start reading at `recipe/recipe.py`, then `samples/sample.py`.
"""
