"""Executors of a sweep's cells: in this process, or in a process for each cell."""
