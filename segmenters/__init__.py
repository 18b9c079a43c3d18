"""Segmenters of whole volumes, one file each; the file name is the plug-in's name."""
