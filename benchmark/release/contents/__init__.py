"""What a release folder holds: volumes, pictures, descriptions, metadata and the licence."""
