"""A simulator of labelled patches, and the parameters in which its populations differ."""
