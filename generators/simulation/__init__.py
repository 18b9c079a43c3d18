"""A simulator of labelled patches, and what tells its populations apart."""
