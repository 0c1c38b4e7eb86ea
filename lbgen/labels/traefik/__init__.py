"""The vocabulary of Traefik's Swarm provider."""

PREFIX = "traefik."
