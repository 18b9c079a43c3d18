"""Generators of labelled patches, one file each. The file name is the plug-in's name."""
