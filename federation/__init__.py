"""Training across sites with Flower. Patients stay at their site, and every site has its own ε."""
