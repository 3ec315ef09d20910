"""The invented weather: fields on the fine grid that are functions of the seed, the grid and the time alone.

It knows land, large-scale flow, surface, rain and noise. It never writes a file. Start reading at `weather.py`.
"""
