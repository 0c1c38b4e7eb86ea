"""Makes a proxy run new files: `plan` decides how, one module for each proxy does it."""
