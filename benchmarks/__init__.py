"""Benchmarks, each a command of its own that prints a table of ratios."""
