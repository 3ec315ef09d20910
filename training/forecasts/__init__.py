"""Forecasts: ensembles of fine fields drawn from a trained model, tile by tile, as CF files.

It knows tiles, members and files of a forecast. It never scores one. Start reading at `forecast.py`.
"""
