"""Setting `discovery.traefik.entrypoints`: what Traefik's static configuration says of entry points, in its own words.

What is said of a listener (redirections, trusted load balancers, the PROXY protocol) becomes that listener's, what is
said of routers (middlewares, TLS) belongs to the dialect. What has no counterpart is told.

Source: traefik 3.7 pkg/config/static/entrypoints.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator

from lbgen.labels.context import EntryPoint
from lbgen.settings.listener_redirect import ListenerRedirectSettings
from lbgen.settings.listeners import ListenerSettings
from lbgen.settings.value_types import Networks, Section, Texts

SETTING = "discovery.traefik.entrypoints"
MOST_PRIORITY = 1_000_000  # that a label may give
# What is known, and left out -> what to do instead. Names are compared without case, as Traefik does.
LEFT_OUT: Mapping[str, str] = {
    "address": "the listener's bind says it",
    "allowacmebypass": "certificates are files here",
    "reuseport": "the proxy's own options decide",
    "transport": "time-outs are those of keys timeout.* and of the target's options",
    "http2": "the proxy's own defaults hold",
    "http3": "write tls: {http3: true} at the listener",
    "udp": "the proxy's own time-out holds",
    "observability": "logs are the listener's access_log, metrics and traces the proxy's own",
    "http.encodedcharacters": "write encoded_slashes: reject at the listener to refuse %2F and %5C",
    "http.encodequerysemicolons": "a query reaches the server as it was sent",
    "http.sanitizepath": "paths are matched in normal form, whatever they look like",
    "http.maxheaderbytes": "write max_headers at the listener",
    "http.underscoreheadersstrategy": "such headers are passed on or dropped as the proxy does it",
    "http.tls.certresolver": "certificates are files of setting certificates",
    "http.tls.domains": "certificates are files of setting certificates",
    "forwardedheaders.connection": "these headers are removed",
    "forwardedheaders.notappendxforwardedfor": "the client's address is always appended",
    "forwardedheaders.addxforwardedschemeheaders": "applications are told by X-Forwarded-Proto",
}
_PEOPLE = "anybody could say who the client is: name the load balancers under trustedIPs"


class _Words(Section):
    """A section in Traefik's words, whose case does not matter."""

    # Words that are left out are taken, too, and told.
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        defer_build=True,
        populate_by_name=True,
        json_schema_extra={"additionalProperties": True},
    )

    @model_validator(mode="before")
    @classmethod
    def _spelt_as_here(cls, value: Any) -> Any:
        names = {str(item.alias or name).lower(): item.alias or name for name, item in cls.model_fields.items()}
        return {names.get(str(key).lower(), key): item for key, item in value.items()} if _is_map(value) else value


def _is_map(value: object) -> bool:
    return isinstance(value, dict)


class RedirectEntryPointSettings(_Words):
    """Where all requests of the entry point are redirected, before anything else is asked of them."""

    to: str
    """Entry point, or :PORT."""
    scheme: str = "https"
    permanent: bool = True
    priority: int | None = None
    """Of the router that Traefik makes of it; default: above all."""

    def listener(self) -> ListenerRedirectSettings:
        """Return it as the listener has it."""
        priority = None if self.priority is None or self.priority > MOST_PRIORITY else max(self.priority, 0)
        priority = len("HostRegexp(`^.+$`)") if priority == 0 else priority  # Traefik's rule for it
        said = {"to": self.to, "scheme": self.scheme, "permanent": self.permanent, "priority": priority}
        return ListenerRedirectSettings.model_validate(said)


class RedirectionsSettings(_Words):
    """Redirections of an entry point."""

    entry_point: RedirectEntryPointSettings | None = Field(None, alias="entryPoint")


class EntryPointTlsSettings(_Words):
    """TLS for the routers that say nothing of TLS."""

    options: str = ""
    """Name of TLS options, as in modern@file."""


def _tls(value: object) -> object:
    return {} if value is True else None if value is False else value


class EntryPointHttpSettings(_Words):
    """What the entry point adds to HTTP routers."""

    redirections: RedirectionsSettings | None = None
    middlewares: Texts = []
    """Middlewares that go before those of each router, as in auth@file."""
    tls: Annotated[
        EntryPointTlsSettings | None,
        BeforeValidator(_tls, json_schema_input_type=bool | EntryPointTlsSettings | None),
    ] = None


def _insecure(value: bool) -> bool:
    if value:
        raise ValueError(_PEOPLE)
    return value


Insecure = Annotated[bool, BeforeValidator(_insecure)]


class TrustSettings(_Words):
    """Whose headers are believed."""

    trusted: Networks = Field([], alias="trustedIPs")
    """Networks of load balancers."""
    insecure: Insecure = False
    """Believe everybody: refused."""


class EntryPointSettings(_Words):
    """An entry point, as Traefik's static configuration has it; the listener of the same name stands for it."""

    http: EntryPointHttpSettings = EntryPointHttpSettings.default()
    forwarded_headers: TrustSettings = Field(TrustSettings.default(), alias="forwardedHeaders")
    """Becomes `trusted_proxies` of the listener."""
    proxy_protocol: TrustSettings | None = Field(None, alias="proxyProtocol")
    """Becomes `proxy_protocol` and `trusted_proxies` of the listener."""
    as_default: bool = Field(False, alias="asDefault")
    """Routers that name no entry point are on this one; if none has this, they are on all of these."""
    _left_out: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="wrap")
    @classmethod
    def _known(cls, value: Any, handler: Any) -> EntryPointSettings:
        """Take out what has no counterpart, and remember it."""
        left: list[str] = []
        made: EntryPointSettings = handler(_without(value, "", left))
        if left:
            made._left_out = tuple(left)
        return made

    def notes(self, name: str) -> Iterator[str]:
        """Yield what is left out."""
        for path in self._left_out:
            yield f"{SETTING}.{name}.{path} is left out: {LEFT_OUT[path.lower()]}"

    def entry_point(self, name: str) -> EntryPoint:
        """Return what labels are read with."""
        tls = self.http.tls
        options = tls.options if tls else ""
        return EntryPoint(name, tuple(self.http.middlewares), tls is not None, options, self.as_default)

    def listener(self, name: str, listener: ListenerSettings) -> ListenerSettings:
        """Return the listener that stands for it, with what is said here.

        Raises:
            ValueError: the listener says otherwise.
        """
        if self.http.tls and not listener.tls:
            raise ValueError(f"{SETTING}.{name}.http.tls: listener {name} has no TLS; write tls: true there")
        redirections = self.http.redirections
        target = redirections.entry_point if redirections else None
        said: dict[str, Any] = {"redirect": target.listener() if target else None}
        trusted = {*self.forwarded_headers.trusted, *(self.proxy_protocol.trusted if self.proxy_protocol else ())}
        said |= {"trusted_proxies": sorted(trusted), "proxy_protocol": self.proxy_protocol is not None}
        changed: dict[str, Any] = {}
        for key, value in said.items():
            before = getattr(listener, key)
            if value and before and value != (sorted(set(before)) if key == "trusted_proxies" else before):
                raise ValueError(f"{SETTING}.{name} says otherwise than listeners.{name}.{key}; write it in one place")
            if value:
                changed[key] = value
        # Validated again: what is said here has to fit the listener's protocol.
        own = {key: getattr(listener, key) for key in listener.model_fields_set}
        return ListenerSettings.model_validate({**own, **changed}) if changed else listener


def _without(value: Any, path: str, left: list[str]) -> Any:
    """Return a section without what is left out, which is put into `left`."""
    if not _is_map(value):
        return value
    kept = {}
    for key, item in value.items():
        inner = f"{path}{key}"
        if inner.lower() in LEFT_OUT:
            left.append(inner)
        else:
            kept[key] = _without(item, f"{inner}.", left)
    return kept
