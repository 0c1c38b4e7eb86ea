"""Whatever else has a text configuration and a command that reloads it."""
