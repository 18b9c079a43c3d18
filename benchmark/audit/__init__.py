"""Audits of a fit's ε: attacks that measure it, and laws that its private steps must keep."""
