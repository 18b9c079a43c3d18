"""A segmenter learns from synthetic patches, and is judged on held-out patients."""
