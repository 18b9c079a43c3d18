"""Training across sites with Flower: no patient leaves a site, and every site keeps its own ε."""
