"""Why a registrar refuses an edge that it knows, in words that say what to do."""

from __future__ import annotations

from lbgen.hub.tokens import SKEW
from lbgen.source.hub.certificates import Refused


def used(name: str) -> Refused:
    why = "a token is good for one edge, once; if that was not you, revoke it"
    return Refused("used", f"the token for {name} has been used by another key: {why}")


def revoked(name: str) -> Refused:
    return Refused("revoked", f"{name} is revoked; if it is to come back, join it with a new token")


def older_than_revocation(name: str, ahead: float) -> Refused:
    """
    Args:
        ahead: seconds from now until the time of the revocation.
    """
    older = f"the token for {name} is older than the revocation of that name"
    if ahead > SKEW:
        when = f"which was made {ahead:.0f} s from now by this hub's clock"
        return Refused("clock", f"{older}, {when}: compare the clocks of the hubs; tokens that are made later are good")
    return Refused("revoked", f"{older}: make another with 'lbgen hub token {name}'")


def replaced(name: str) -> Refused:
    return Refused("replaced", f"another edge has joined as {name} since: give each a name of its own, and a token")


def unwritten() -> Refused:
    why = "this hub cannot write down who joins (hub_ledger_unwritten in its log)"
    return Refused("peer", f"{why}: try again later, or at another hub; the token is still good")
