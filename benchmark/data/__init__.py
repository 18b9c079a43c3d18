"""Cohorts: from NIfTI files on disk to patches in memory."""
