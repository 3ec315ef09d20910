"""Measurements behind tables of the documents: what a method gains, not how fast it is, each a command."""
