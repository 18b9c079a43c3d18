"""Tables, pictures and reports for the terminal and for files."""
