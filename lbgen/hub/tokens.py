"""Tokens: made offline with the authority's key, checked by any hub of the fleet."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping

from lbgen.base.errors import SettingsError
from lbgen.base.fleet_names import NAME, NAME_RULE
from lbgen.hub.authority import Authority
from lbgen.source.hub.certificates import LONGEST_LABEL, MOST_LABELS, Refused
from lbgen.source.hub.token import Token, parts_of, text_of

_PURPOSE = b"lbgen token 1\n"  # so that no other signature of the authority's key can be one of a token
LONGEST_LIFE = 30 * 24 * 3600.0  # seconds; used tokens are kept as long
SKEW = 300.0  # seconds by which clocks of those who make tokens and of hubs may differ


def new_token(
    authority: Authority, name: str, now: float, life: float, offer: str = "", labels: Mapping[str, str] | None = None
) -> str:
    """Return the text of a new token.

    Args:
        now: seconds since 1970.
        life: seconds.
    Raises:
        SettingsError: the name, the life or a label cannot be.
    """
    labels = labels or {}
    if not NAME.fullmatch(name):
        raise SettingsError(f"{name!r} cannot be the name of an edge: {NAME_RULE}")
    if not 0 < life <= LONGEST_LIFE:
        raise SettingsError(f"a token is good for 1 s to {LONGEST_LIFE / 86400:.0f} days, not {life:g} s")
    if len(labels) > MOST_LABELS or any(len(word) > LONGEST_LABEL for item in labels.items() for word in item):
        raise SettingsError(f"an edge has at most {MOST_LABELS} labels, of at most {LONGEST_LABEL} characters each")
    id_ = base64.urlsafe_b64encode(secrets.token_bytes(12)).decode()
    payload = Token(name, id_, now, now + life, authority.fingerprints, offer, dict(labels)).payload()
    return text_of(payload, authority.sign(_PURPOSE + payload))


def checked(authority: Authority, text: object, now: float) -> Token:
    """Return what a token says, if it is of this fleet and in force; raise Refused."""
    if not isinstance(text, str):
        raise Refused("request", "the request has no token")
    token, payload, signature = parts_of(text)
    if not authority.signed(_PURPOSE + payload, signature):
        raise Refused("fleet", "the token is not of this fleet, or was altered: make one with this fleet's authority")
    if token.until < now:
        ago = f"{now - token.until:.0f} s ago by this hub's clock"
        raise Refused("expired", f"the token for {token.name} has expired {ago}: make another with 'lbgen hub token'")
    if token.made > now + SKEW:
        ahead = f"{token.made - now:.0f} s from now by this hub's clock"
        raise Refused("clock", f"the token for {token.name} was made {ahead}: set the clocks, then make another")
    return token
