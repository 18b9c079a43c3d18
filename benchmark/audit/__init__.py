"""Whether a fit's ε can be believed: attacks that measure it, and laws that its step must keep."""
