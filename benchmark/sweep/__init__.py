"""Sweeps: planning cells, running them, and keeping and tracking their results."""
