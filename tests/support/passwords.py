"""Passwords of users in tests."""

from __future__ import annotations

# "secret", with a cost that no test has to wait for.
HASH = "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
