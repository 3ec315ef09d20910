"""What the data is: variables, grids, sources, recipes and the layout of a training store."""

import pyproj  # noqa: F401 - before ecCodes, whose wheel loads another PROJ, on which pyproj would crash
