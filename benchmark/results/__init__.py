"""What a cell leaves, typed: read and written here, and known without anything that runs."""
