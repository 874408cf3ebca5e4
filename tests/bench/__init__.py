"""Measurements of real nodes: `make bench` prints a table and writes JSON."""
