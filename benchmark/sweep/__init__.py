"""Plans cells, runs them, remembers them."""
