"""Mail clients and the judges of what they saw, for simulated and for real clusters."""
