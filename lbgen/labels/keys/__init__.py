"""The one table of native keys."""
