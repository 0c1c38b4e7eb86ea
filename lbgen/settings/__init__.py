"""One YAML file, the environment over it, flags over both."""

from lbgen.settings.loader import ENV_FILE, default_file, load_settings
from lbgen.settings.settings import ListenerSettings, Settings
from lbgen.settings.source import DockerSettings
from lbgen.settings.target import STATE_DIRECTORY, ApplySettings, TargetSettings

__all__ = [
    "ENV_FILE",
    "STATE_DIRECTORY",
    "ApplySettings",
    "DockerSettings",
    "ListenerSettings",
    "Settings",
    "TargetSettings",
    "default_file",
    "load_settings",
]
