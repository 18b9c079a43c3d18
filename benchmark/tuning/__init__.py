"""The search for settings at each privacy level."""
