"""Pictures of fields and statistics: maps, histograms, calendars, in a palette of each variable's own.

It knows pixels, colours and SVG paths. It never knows a catalog. Start reading at `pictures.py`.
"""
