"""Segmenters of whole volumes, one file each. The file name is the plug-in's name."""
