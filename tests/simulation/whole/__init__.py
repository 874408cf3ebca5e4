"""Tier B: whole nodes with their doors on Trio, under virtual time, replayed by their seed."""
