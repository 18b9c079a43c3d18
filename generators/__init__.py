"""Generators of labelled patches, one file each; the file name is the plug-in's name."""
