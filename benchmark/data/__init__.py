"""From NIfTI files on disk to patches in memory."""
