"""Servers that are to be verified (label ``server-ca``) by an authority that is not there: they get no requests.

That is decided before templates see anything, so no set of templates, built-in or of an author's, can send them any.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from lbgen.model import Backend, Model


class Unverifiable:
    """Takes such servers out of models; what was taken out of the same backend before is the same object again."""

    def __init__(self) -> None:
        self._emptied: dict[str, tuple[Backend, Backend]] = {}  # by name: as decided, and without servers

    def left_out(self, model: Model, authorities: Container[str]) -> Model:
        """Return the model without them.

        Args:
            authorities: the names that there are.
        """
        lacking = [each for each in model.backends if each.server_ca and each.server_ca not in authorities]
        if not lacking:
            self._emptied = {}
            return model
        known = self._emptied
        self._emptied = {
            each.name: known[each.name]
            if each.name in known and known[each.name][0] is each
            else (each, replace(each, servers=()))
            for each in lacking
        }
        backends = (self._emptied[each.name][1] if each.name in self._emptied else each for each in model.backends)
        return replace(model, backends=tuple(backends))
