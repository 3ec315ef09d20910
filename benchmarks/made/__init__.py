"""SYNTHETIC archives and catalogs of full size, which the benchmarks read."""
