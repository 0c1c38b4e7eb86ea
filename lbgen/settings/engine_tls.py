"""The files that an engine behind tcp:// is spoken to with."""

from __future__ import annotations

from pathlib import Path

from lbgen.settings.value_types import Section


class TlsSettings(Section):
    """Client certificate for tcp:// endpoints (as docker --tlsverify)."""

    ca: Path | None = None
    """CA certificate that signed the engine's; default: the system's."""
    cert: Path | None = None
    key: Path | None = None
    verify: bool = True
    """Check the engine's certificate against the CA and its name."""
