"""The dossier of a release: four pages that a person reads before signing, as a page and as PDF."""
