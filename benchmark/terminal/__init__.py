"""Tables and figures for a terminal and its files."""
