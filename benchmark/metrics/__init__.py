"""Scores of masks and of images, each tested against an independent reference."""
