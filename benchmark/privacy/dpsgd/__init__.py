"""Training by private steps: sampling, clipped sums, noise, and continuing after a kill."""
