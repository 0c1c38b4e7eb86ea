"""What TLS clients are shown and asked for before they have said more than a name: certificates, authorities.

Proxies that let it be said for each name are told by the name's own certificate; those of the same name count alike on
every proxy. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lbgen.model import Listener
from lbgen.model.entries import TlsHost
from lbgen.render.credential_files import Certificate
from lbgen.render.credentials import SUFFIX


def is_for(certificate: Certificate, name: str) -> bool:
    """Tell whether a name, or ``*.example.org``, is among those that a certificate is for."""
    return not {name, f"*.{name.partition('.')[2]}"}.isdisjoint(certificate.names)


class SniTable:
    """What is decided for the names of some listeners.

    Where all of them have strict SNI, a name that no certificate is for is not known.
    """

    def __init__(self, listeners: Iterable[Listener], certificates: Sequence[Certificate]) -> None:
        """
        Args:
            listeners: where two of them say something else of one host, the first one's word holds.
            certificates: the first is for names that no other is for.
        """
        self._asked: dict[str, TlsHost] = {}
        listeners = tuple(listeners)
        for listener in listeners:
            for item in listener.hosts if listener.tls else ():
                known = self._asked.get(item.host, item)
                self._asked[item.host] = TlsHost(
                    item.host,
                    known.certificate or item.certificate,
                    known.client_ca or item.client_ca,
                    known.shared or item.shared,
                )
        self._first = certificates[:1]
        self._strict = bool(listeners) and all(listener.strict_sni for listener in listeners)
        self._files = {item.name: item for item in certificates}
        self._named: dict[str, list[Certificate]] = {}
        for certificate in certificates:
            for name in certificate.names:
                self._named.setdefault(name, []).append(certificate)

    def certificates(self, name: str) -> Sequence[Certificate]:
        """Return those that a client may be shown that asks for the name; empty: there are none at all.

        The one that a label names, else NAME.pem, else those for the very name, else _.DOMAIN.pem, else those for all
        names of its domain, else the first. Several are of different kinds: for a client to choose from.
        """
        return self._own(name) or self._first

    def shown(self, name: str) -> Certificate | None:
        """Return the first certificate for a name; None: handshakes for it are refused, or there is none at all."""
        return next(iter(self._own(name) if self._strict else self.certificates(name)), None)

    def _own(self, name: str) -> Sequence[Certificate]:
        """Return the certificates that are for a name."""
        domain = name.partition(".")[2]
        labelled = self.labelled(name)
        for file in (f"{labelled}{SUFFIX}" if labelled else "", f"{name}{SUFFIX}"):
            if file in self._files:
                return [self._files[file]]
        if name in self._named:
            return self._named[name]
        if f"_.{domain}{SUFFIX}" in self._files:
            return [self._files[f"_.{domain}{SUFFIX}"]]
        return self._named.get(f"*.{domain}", ())

    def labelled(self, name: str) -> str:
        """Return the name of the certificate that a label chooses for a name, or "".

        Nobody chooses one that is for other names where another service has routes for the name, too.
        """
        wanted = self._said(name, "certificate")
        file = self._files.get(f"{wanted}{SUFFIX}")
        if file and self._shared(name) and not is_for(file, name):
            return ""
        return wanted

    def client_ca(self, name: str) -> str:
        """Return the name of the authority that a client that asks for the name needs a certificate of, or "".

        What is said of all names of a domain holds for each that is not listed itself.
        """
        return self._said(name, "client_ca")

    def apart(self, hosts: Iterable[str]) -> list[str]:
        """Return the names beside these hosts that are shown another certificate than the host they would be taken for.

        Args:
            hosts: with "*.example.org" for the names of a domain, and "*" for all that are not among them.
        """
        there = set(hosts)
        names = []
        for name in sorted(self._asked.keys() | self._named.keys(), key=lambda name: (not name.startswith("*."), name)):
            domain = f"*.{name.partition('.')[2]}"
            broader = domain if domain in there else "*"
            if name not in there and self.shown(name) != self.shown(broader):
                there.add(name)
                names.append(name)
        return names

    @property
    def guarded(self) -> list[tuple[str, str]]:
        """Every name for which an authority is asked for, and the authority."""
        pairs = [(host, self.client_ca(host)) for host in sorted(self._asked)]
        return [(host, client_ca) for host, client_ca in pairs if client_ca]

    @property
    def table(self) -> list[tuple[Certificate, str, list[str]]]:
        """Every name that something is known of, by certificate and authority: the first certificate's lines first."""
        lines: dict[tuple[Certificate, str], list[str]] = {}
        for name in sorted(self._asked.keys() | self._named.keys()):
            for certificate in self._own(name) if self._strict else self.certificates(name):
                lines.setdefault((certificate, self.client_ca(name)), []).append(name)
        order = {item.name: place for place, item in enumerate(self._files.values())}
        return [
            (certificate, client_ca, names)
            for (certificate, client_ca), names in sorted(
                lines.items(), key=lambda item: (order[item[0][0].name], item[0][1])
            )
        ]

    def _said(self, name: str, what: str) -> str:
        said = self._asked.get(name) or self._asked.get(f"*.{name.partition('.')[2]}")
        return str(getattr(said, what)) if said else ""

    def _shared(self, name: str) -> bool:
        said = self._asked.get(name) or self._asked.get(f"*.{name.partition('.')[2]}")
        return bool(said and said.shared)
