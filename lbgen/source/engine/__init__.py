"""The Engine API of Docker. Nothing is imported here: whoever names one module of it must not load Docker's client."""
