"""Real networks through the same engine."""
