"""Checks of a received release: its files, volumes, descriptions, and what is promised."""
