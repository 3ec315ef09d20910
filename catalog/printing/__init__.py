"""Answers as people and scripts read them: words, tables, JSON, CSV, Parquet.

It knows terminals and formats. It never asks the catalog anything. Start reading at `rows.py`.
"""
