"""Observation of a running cell: its stages, its rounds, its patches."""
