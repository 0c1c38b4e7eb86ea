"""One YAML file, the environment over it, flags over both."""
