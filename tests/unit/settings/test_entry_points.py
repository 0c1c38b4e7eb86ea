"""Setting discovery.traefik.entrypoints: Traefik's static configuration in its own words."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from lbgen.labels.context import EntryPoint
from lbgen.labels.dialects import parse
from lbgen.model.entries import ListenerRedirect
from lbgen.settings import Settings
from tests.support.foreign_labels import APP

MOST = 2**63 - 2  # the priority of Traefik's own redirections


def settings(entry_points: object, **listeners: dict[str, Any]) -> Settings:
    """Settings with these entry points, and listeners with more of this."""
    own: dict[str, dict[str, Any]] = {"web": {"bind": ":80"}, "websecure": {"bind": ":443", "tls": True}}
    for name, more in listeners.items():
        own[name] |= more
    return Settings.model_validate({"listeners": own, "discovery": {"traefik": {"entrypoints": entry_points}}})


def to(**said: object) -> dict[str, object]:
    """An entry point with a redirection."""
    return {"http": {"redirections": {"entryPoint": {"to": "websecure", **said}}}}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, ListenerRedirect("https", 443, 308)),
        ({"priority": MOST}, ListenerRedirect("https", 443, 308)),
        ({"priority": 10, "permanent": False}, ListenerRedirect("https", 443, 307, 10)),
        ({"priority": 0}, ListenerRedirect("https", 443, 308, 18)),  # the length of its rule
        ({"priority": -5}, ListenerRedirect("https", 443, 308, 18)),
        ({"to": ":8443", "scheme": "https"}, ListenerRedirect("https", 8443, 308)),
    ],
)
def test_redirections(said, expected):
    """They become the listener's."""
    web = settings({"web": to(**said)}).rules().listeners[0]
    assert (web.name, web.redirect) == ("web", expected)


def test_who_is_trusted():
    """Load balancers of both kinds are trusted_proxies of the listener."""
    said = {"forwardedHeaders": {"trustedIPs": ["10.0.0.1/32"]}, "proxyProtocol": {"trustedIPs": ["10.0.0.2"]}}
    made = settings({"websecure": said})
    secure = made.listeners["websecure"]
    assert (secure.trusted_proxies, secure.proxy_protocol) == (["10.0.0.1/32", "10.0.0.2/32"], True)
    assert made.listeners["web"].trusted_proxies == []


def test_routers():
    """Middlewares, TLS and defaults belong to the dialect; the case of words does not matter."""
    said = {"HTTP": {"Middlewares": ["a@file", "b@swarm"], "tls": {"Options": "modern@file"}}, "asdefault": True}
    entry_points = (
        settings({"websecure": said, "web": {"http": {"middlewares": "c@file"}}}).rules().provider.entry_points
    )
    assert entry_points == (
        EntryPoint("web", ("c@file",)),
        EntryPoint("websecure", ("a@file", "b@swarm"), tls=True, tls_options="modern@file", default=True),
    )


@pytest.mark.parametrize("tls", [True, {}, {"certResolver": "le", "domains": [{"main": "a.org"}]}])
def test_tls(tls):
    """True and sections are alike."""
    (secure,) = settings({"websecure": {"http": {"tls": tls}}}).rules().provider.entry_points
    assert (secure.tls, secure.tls_options) == (True, "")


def test_what_is_left_out_is_told():
    """Each word that Traefik knows and lbgen does without, with its place."""
    said = {
        "address": ":80",
        "transport": {"respondingTimeouts": {"readTimeout": "5s"}},
        "http": {"encodeQuerySemicolons": True, "tls": {"certResolver": "le"}},
    }
    made = settings({"websecure": said})
    notes = list(made.discovery.traefik.entrypoints["websecure"].notes("websecure"))
    assert [note.partition(" is left out: ")[0].removeprefix("discovery.traefik.entrypoints.") for note in notes] == [
        "websecure.address",
        "websecure.transport",
        "websecure.http.encodeQuerySemicolons",
        "websecure.http.tls.certResolver",
    ]


@pytest.mark.parametrize(
    ("entry_points", "listeners", "said"),
    [
        ({"metrics": {}}, {}, "there is no listener metrics; listeners are web, websecure"),
        ({"web": {"http": {"tls": {}}}}, {}, "listener web has no TLS; write tls: true there"),
        ({"web": {"forwardedHeaders": {"insecure": True}}}, {}, "anybody could say who the client is"),
        ({"web": {"proxyProtocol": {"insecure": True}}}, {}, "anybody could say who the client is"),
        ({"web": {"forwardedHeaders": {"trustedIPs": ["0.0.0.0/0"]}}}, {}, "0.0.0.0/0 is everybody"),
        ({"web": {"htp": {}}}, {}, "Extra inputs are not permitted"),
        ({"web": to(to="nowhere")}, {}, "there is no HTTP listener nowhere"),
        ({"web": to()}, {"web": {"redirect": ":8443"}}, "write it in one place"),
        (
            {"web": {"forwardedHeaders": {"trustedIPs": ["10.0.0.1/32"]}}},
            {"web": {"trusted_proxies": ["10.0.0.2/32"]}},
            "write it in one place",
        ),
        ({"web": to()}, {"web": {"protocol": "tcp"}}, "redirect is for listeners of protocol http"),
    ],
)
def test_refused(entry_points, listeners, said):
    """With the place and the remedy."""
    with pytest.raises(ValidationError, match=said):
        settings(entry_points, **listeners)


def test_with_what_files_define():
    """A guard and TLS options of the file provider hold for routers of an entry point that names them."""
    traefik = {
        "middlewares": {"office": {"ipAllowList": {"sourceRange": ["10.0.0.0/8"]}}},
        "tls_options": {
            "mtls": {"clientAuth": {"caFiles": ["us.pem"], "clientAuthType": "RequireAndVerifyClientCert"}}
        },
        "entrypoints": {
            "web": {},
            "websecure": {"http": {"middlewares": ["office@file"], "tls": {"options": "mtls@file"}}},
        },
    }
    listeners = {"web": {"bind": ":80"}, "websecure": {"bind": ":443", "tls": True}}
    discovery = {"dialects": ["traefik"], "expose_by_default": True, "traefik": traefik}
    made = Settings.model_validate({"listeners": listeners, "discovery": discovery})
    labels = {f"traefik.{key}": value for key, value in APP.items()}
    found = parse("shop", labels, made.rules().label_context())
    assert [(route.name, route.keys.allow_ip, route.keys.client_ca) for route in found.routes] == [
        ("app", (), ""),
        ("websecure-app", ("10.0.0.0/8",), "us"),
    ]
    assert (found.problems, found.closed) == ((), ())


def test_the_same_in_both_places():
    """What is said twice may be said twice."""
    assert settings({"web": to()}, web={"redirect": "websecure"}).listeners["web"].redirect
