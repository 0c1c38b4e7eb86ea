"""An edge's source, and what it takes over from hubs, put together from its settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lbgen.base.errors import SettingsError
from lbgen.daemon.handed_out import HandedOut, ReadOwn
from lbgen.daemon.handed_out_store import HandedOutStore
from lbgen.daemon.loop import Loop
from lbgen.daemon.settings_trial import try_out
from lbgen.daemon.target import Target
from lbgen.settings import Settings
from lbgen.settings.hub import HubSourceSettings, OfferSettings
from lbgen.snapshot import Snapshot
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


def accepted(settings: Settings) -> Sequence[str]:
    """Return what the settings accept from a hub; of several hubs the first that anything is accepted from counts."""
    return next((part.hub.accept for part in settings.parts.values() if part.hub and part.hub.accept), ())


def handed_out(settings: Settings, read_own: ReadOwn) -> HandedOut | None:
    """Return what takes over settings that a hub hands out; None: the edge's own settings accept none.

    Raises:
        SettingsError: this machine has not joined.
    """
    hub = next((part.hub for part in settings.parts.values() if part.hub and part.hub.accept), None)
    if hub is None:
        return None
    assert hub.state  # the settings say where it is, or have their default
    state = hub.state
    # What is on disk, and not what was there at the start: which authorities are trusted changes with renewals.
    return HandedOut(
        HandedOutStore(state / "fleet"),
        Identity(state).name,
        lambda text, signature: Identity(state).signed(text, signature),
        read_own,
        accepted,
    )


def start(handed: HandedOut, sources: Iterable[HubSource], loop: Loop, targets: Sequence[Target]) -> None:
    """Have what hubs hand out tried with the facts in force, and taken over."""
    for source in sources:
        source.on_fleet = handed.receive

    def trial(settings: Settings) -> None:
        held = {target.name: target.quarantine.held.copy() for target in targets}
        try_out(settings, loop.accepted or Snapshot(), held)

    handed.start(trial)


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
