"""The Engine API of Docker. Nothing is imported here: naming one module of it must not load Docker's client."""
