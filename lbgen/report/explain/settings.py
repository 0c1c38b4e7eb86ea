"""Which settings of a route are in force, as labels would say them: those that are not the default."""

from __future__ import annotations

from collections.abc import Mapping

from lbgen.labels.keys.table import KEYS, RouteKeys
from lbgen.model.groups import OWN
from lbgen.report.masking import masked_value

_SHOWN_ELSEWHERE = OWN - {"weight"}
_DEFAULTS = RouteKeys()


def settings_of(keys: RouteKeys) -> dict[str, str]:
    """Return key -> value of everything that says how requests and servers are treated."""
    shown = {}
    for field, key in KEYS.items():
        value = getattr(keys, field)
        if field in _SHOWN_ELSEWHERE or value == getattr(_DEFAULTS, field):
            continue
        if isinstance(value, Mapping):
            texts = {name: key.parse.spell(value[name]) for name in sorted(value)}
            shown.update({f"{key.family}{name}": masked_value(name, text) for name, text in texts.items()})
        else:
            shown[key.name] = masked_value("", key.parse.spell(value))
    return shown
