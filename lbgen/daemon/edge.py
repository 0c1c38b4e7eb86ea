"""An edge's source, put together from its settings."""

from __future__ import annotations

from lbgen.base.errors import SettingsError
from lbgen.settings.hub import HubSourceSettings, OfferSettings
from lbgen.source import Source
from lbgen.source.hub.identity import Identity
from lbgen.source.hub.source import HubSource
from lbgen.source.last_known import LastKnown


def hub_source(settings: HubSourceSettings, *, facts: bool = True) -> HubSource:
    """Return the source that follows a hub.

    Args:
        facts: whether facts are wanted; an agent that does nothing else with them goes without.
    Raises:
        SettingsError: this machine has not joined, or may not offer facts.
    """
    assert settings.state  # the settings say where it is, or have their default
    identity = Identity(settings.state)
    offer = _offered(settings.offer, identity) if settings.offer else None
    store = LastKnown(settings.state / "facts.json")
    return HubSource(settings.urls, identity, store, facts=facts or offer is None, offer=offer, accept=settings.accept)


def _offered(settings: OfferSettings, identity: Identity) -> Source:
    fixed = identity.holder.offer
    if not fixed:
        why = f"{identity.name} has joined without an address for what it offers"
        raise SettingsError(
            f"source.hub.offer: {why}: join again with a token of 'lbgen hub token NAME --offer ADDRESS'"
        )
    if settings.address not in ("", fixed):
        why = f"the address was fixed as {fixed} when {identity.name} joined"
        raise SettingsError(
            f"source.hub.offer.address: {settings.address}: {why}; leave it out, or join with another token"
        )
    from lbgen.source.hosts.host import Host
    from lbgen.source.hosts.source import HostsSource

    return HostsSource([Host(identity.name, settings.endpoint, fixed)])
