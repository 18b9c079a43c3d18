"""Scoring: a segmenter learns from synthetic patches and is tested on held-out patients."""
