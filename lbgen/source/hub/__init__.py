"""The edge's side of hub and edge: it dials a hub, and what the hub sends is its source (SPEC 12)."""
