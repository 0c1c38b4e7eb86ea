"""The vocabulary of docker-flow-proxy: ``com.df.*``."""
