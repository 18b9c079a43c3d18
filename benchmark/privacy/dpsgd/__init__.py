"""Training by private steps: sampling, clipped sums, noise, and going on after a kill."""
