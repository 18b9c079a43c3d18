"""What is drawn: noise over whole numbers, one noised mean, one noised choice."""
