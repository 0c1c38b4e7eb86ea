"""The hub's side of hub and edge: it hands facts to edges that dial in (SPEC 12)."""
