"""The `hosts` source: containers of engines that are in no Swarm. Imported by name only: it loads Docker's client."""
