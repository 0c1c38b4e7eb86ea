"""Stack files as `docker stack deploy` reads them."""
