"""The work at scale: plan, build and verify, each a linear Beam pipeline over plain functions."""
