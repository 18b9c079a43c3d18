"""Typed results of cells: their files, tables and texts. Nothing here runs a cell."""
