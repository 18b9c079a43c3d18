"""Differential privacy: accounting, protected units, randomness and the private training step."""
