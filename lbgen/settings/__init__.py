"""One YAML file, the environment over it, flags over both."""

from lbgen.settings.engine_tls import TlsSettings
from lbgen.settings.hosts import HostSettings
from lbgen.settings.listeners import ListenerSettings
from lbgen.settings.loader import ENV_FILE, ENV_STATUS_AUTH, default_file, foreign_variables, load_settings
from lbgen.settings.settings import STATE_DIRECTORY, ApplySettings, Settings, TargetSettings
from lbgen.settings.source import DockerSettings, PartSettings, SourceSettings
from lbgen.settings.status import StatusSettings

__all__ = [
    "ENV_FILE",
    "ENV_STATUS_AUTH",
    "STATE_DIRECTORY",
    "ApplySettings",
    "DockerSettings",
    "HostSettings",
    "ListenerSettings",
    "PartSettings",
    "Settings",
    "SourceSettings",
    "StatusSettings",
    "TargetSettings",
    "TlsSettings",
    "default_file",
    "foreign_variables",
    "load_settings",
]
