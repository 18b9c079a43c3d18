"""The private mechanisms: discrete noise, a noised mean, and a noised choice."""
