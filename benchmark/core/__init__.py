"""The vocabulary and the contracts that all other packages share; it imports none of them."""
