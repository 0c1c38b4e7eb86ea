"""The vocabulary of Traefik's Swarm provider."""
