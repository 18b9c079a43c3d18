"""Network building blocks of the generators."""
