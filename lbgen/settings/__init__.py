"""One YAML file, the environment over it, flags over both."""

from lbgen.settings.loader import ENV_FILE, default_file, foreign_variables, load_settings
from lbgen.settings.settings import (
    STATE_DIRECTORY,
    ApplySettings,
    DockerSettings,
    ListenerSettings,
    Settings,
    TargetSettings,
)

__all__ = [
    "ENV_FILE",
    "STATE_DIRECTORY",
    "ApplySettings",
    "DockerSettings",
    "ListenerSettings",
    "Settings",
    "TargetSettings",
    "default_file",
    "foreign_variables",
    "load_settings",
]
