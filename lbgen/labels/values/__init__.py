"""What a label says, read from its text and spelled again."""
