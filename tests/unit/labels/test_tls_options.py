"""`labels.traefik.tls_options`: what the TLS options that routers name ask of clients and listeners."""

from __future__ import annotations

import pytest
import yaml

from lbgen.labels.context import LabelContext, Listeners
from lbgen.labels.definitions import Definition, Definitions
from lbgen.labels.dialects import TRAEFIK
from lbgen.labels.route_spec import ServiceLabels
from lbgen.labels.traefik.file_provider import FileElements

APP = {"traefik.http.routers.app.rule": "Host(`a.org`)", "traefik.http.services.app.loadbalancer.server.port": "80"}
TCP = {
    "traefik.tcp.routers.app.rule": "HostSNI(`a.org`)",
    "traefik.tcp.routers.app.tls": "true",
    "traefik.tcp.services.app.loadbalancer.server.port": "80",
}
MTLS = "{mtls: {clientAuth: {caFiles: [/etc/ca/Partners.crt], clientAuthType: RequireAndVerifyClientCert}}}"


def parsed(options: str, *, tls13: bool = False, protocol: str = "http", **labels: str) -> ServiceLabels:
    """What a router with these labels says, beside these TLS options in YAML."""
    found = FileElements()
    found.add("tls", "options", yaml.safe_load(options), "discovery.traefik.tls_options")
    secure = frozenset({"websecure"})
    listeners = Listeners(("web", "websecure"), frozenset({"web"}), secure, tls13=secure if tls13 else frozenset())
    definitions = Definitions(settings={key: Definition(element) for key, element in found.elements.items()})
    tcp = Listeners(("pg",), frozenset(), frozenset({"pg"}))
    context = LabelContext(expose_by_default=True, listeners=listeners, tcp_listeners=tcp, definitions=definitions)
    own = {f"traefik.{protocol}.routers.app.{name.replace('_', '.')}": value for name, value in labels.items()}
    return TRAEFIK.parse("shop", (APP if protocol == "http" else TCP) | own, context)


def test_client_ca():
    """The authority is the file's base name, without its suffix; the router is on listeners with TLS alone."""
    labels = parsed(MTLS, tls_options="mtls@file")
    assert [str(problem) for problem in labels.problems] == []
    (route,) = labels.routes
    assert (route.keys.client_ca, route.keys.listener) == ("Partners", ("websecure",))


@pytest.mark.parametrize(
    ("labels", "client_ca", "listener"),
    [
        ({"tls": "true"}, "ca", ("websecure",)),
        ({"tls_options": "default"}, "ca", ("websecure",)),
        ({"tls_options": "other@file"}, "", ("websecure",)),
        ({}, "", ("web",)),
        ({"entrypoints": "websecure"}, "ca", ("websecure",)),
        ({"entrypoints": "web"}, "", ("web",)),
    ],
)
def test_default(labels, client_ca, listener):
    """Options `default` are those of every router with TLS that names none; one without TLS keeps to what has none."""
    own = "{default: {clientAuth: {caFiles: [ca.pem]}}, other: {sniStrict: true}}"
    (route,) = parsed(own, **labels).routes
    assert (route.keys.client_ca, route.keys.listener) == (client_ca, listener)


@pytest.mark.parametrize(
    ("options", "label", "says"),
    [
        ("{}", "mtls@file", "names TLS options mtls@file, which nothing defines"),
        (MTLS, "mlts@file", "did you mean mtls, which setting discovery.traefik defines?"),
        (MTLS, "mtls", "names TLS options of labels, which define none; write mtls@file"),
        ("{a: {clientAuth: {caFiles: [ca.pem], clientAuthType: VerifyClientCertIfGiven}}}", "a@file",
         "asks for clients' certificates in a way that also lets in clients without one"),
        ("{a: {clientAuth: {clientAuthType: RequireAnyClientCert}}}", "a@file", "in a way that verifies none"),
        ("{a: {clientAuth: {clientAuthType: RequireAndVerifyClientCert}}}", "a@file", "needs caFiles"),
        ("{a: {clientAuth: {clientAuthType: Always}}}", "a@file", "is not a kind of client authentication"),
        ("{a: {clientAuth: {caFiles: [a.pem, b.pem]}}}", "a@file", "names several files (a, b), and here there is one"),
        ("{a: {minVersion: VersionTLS13}}", "a@file", "asks for TLS 1.3, and listener websecure offers older versions"),
        ("{a: {minVersion: TLS13}}", "a@file", "is not a version of TLS"),
        ("{a: {clientauth: {cafile: [ca.pem]}}}", "a@file", "is an unknown option"),
    ],
)  # fmt: skip
def test_closed(options, label, says):
    """What cannot be asked of clients closes the router, as a guard that is missing."""
    labels = parsed(options, tls_options=label)
    (problem,) = labels.problems
    assert says in problem.what
    (closed,) = labels.closed
    assert closed.missing == {"client_ca"}
    assert labels.routes == ()


def test_what_listeners_have():
    """TLS 1.3 is in force where the listener takes nothing older; other options close nothing."""
    also = "cipherSuites: [TLS_AES_128_GCM_SHA256], curvePreferences: [X25519]"
    strict = f"{{a: {{minVersion: VersionTLS13, sniStrict: true, {also}}}}}"
    assert parsed(strict, tls13=True, tls_options="a@file").routes
    assert parsed("{a: {minVersion: VersionTLS12}}", tls_options="a@file").routes


@pytest.mark.parametrize(
    ("options", "labels", "closed"),
    [
        (MTLS, {"tls_options": "mtls@file"}, True),
        (MTLS.replace("mtls", "default"), {}, True),
        (MTLS, {}, False),
        (MTLS, {"tls_options": "mtls@file", "tls_passthrough": "true"}, False),
    ],
    ids=["named", "default", "none", "passthrough"],
)
def test_of_tcp(options, labels, closed):
    """A TCP router that ends TLS asks nobody for a certificate: where clients need one it is closed."""
    found = parsed(options, protocol="tcp", **labels)
    assert [spec.missing for spec in found.closed] == [{"client_ca"}] * closed
    assert len(found.routes) == 1 - closed
