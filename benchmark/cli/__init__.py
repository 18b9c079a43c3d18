"""The commands, one file each: it parses options, calls the packages below, prints and exits."""
