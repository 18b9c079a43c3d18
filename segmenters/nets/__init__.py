"""Training blocks of the segmenters."""
