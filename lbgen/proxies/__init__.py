"""Makes a proxy run new files: `plan` decides how, one folder for each proxy does it."""
