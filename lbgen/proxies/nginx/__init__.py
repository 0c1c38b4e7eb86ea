"""Nginx."""
