"""What the data is: variables, grids, archives, recipes, and the layout of a training store.

It never starts Beam and never imports torch. Start reading at `recipe/recipe.py`, then `samples/sample.py`.
"""

import pyproj  # noqa: F401 - before ecCodes, whose wheel loads another PROJ, on which pyproj would crash
