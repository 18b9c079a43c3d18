"""What ε means here: accounting, units, randomness and the private training step."""
