"""The vocabulary of docker-flow-proxy: ``com.df.*``."""

PREFIX = "com.df."
