"""What the data is: variables, grids, sources, recipes and the layout of a training store."""
