"""How patients lie on a disk: one file per layout."""
