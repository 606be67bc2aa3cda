"""Benchmarks: how fast we are beside the best one could write by hand, measured in one run on one machine."""
