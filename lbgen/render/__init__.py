"""Templates to bytes."""
