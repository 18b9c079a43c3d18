"""The commands: one file each, which parses, calls, prints and exits."""
