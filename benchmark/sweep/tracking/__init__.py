"""The MLflow records of a sweep."""
