"""Traefik's rule syntax."""
