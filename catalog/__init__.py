"""Which stores there are: variables, periods, statistics, lineage."""
