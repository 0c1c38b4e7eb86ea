"""Listeners' TLS and access logs: short forms, sections, and what is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from lbgen.model import AccessLog, Listener
from lbgen.model.entries import ListenerRedirect
from lbgen.settings import Settings


def listener(**keys: object) -> Listener:
    """The listener that these keys make."""
    (made,) = Settings.model_validate({"listeners": {"web": {"bind": ":443", **keys}}}).rules().listeners
    return made


@pytest.mark.parametrize(
    ("tls", "expected"),
    [
        (False, (False, "1.2", False, False)),
        (True, (True, "1.2", False, False)),
        ({}, (True, "1.2", False, False)),
        ({"minimum": "1.3", "strict_sni": True, "http3": True}, (True, "1.3", True, True)),
        ({"minimum": 1.3}, (True, "1.3", False, False)),  # a number to YAML
    ],
)
def test_tls(tls, expected):
    """True is a section of defaults."""
    made = listener(tls=tls)
    assert (made.tls, made.tls_minimum, made.strict_sni, made.http3) == expected


@pytest.mark.parametrize(
    ("access_log", "expected"),
    [
        ("off", None),
        (False, None),  # off, to YAML
        ("json", AccessLog("json", "stdout")),
        ("combined", AccessLog("combined", "stdout")),
        ({"to": "/var/log/web.log"}, AccessLog("json", "/var/log/web.log")),
        ({"format": "combined", "to": "syslog:[::1]:514"}, AccessLog("combined", "syslog:[::1]:514")),
        ({"to": "syslog:/dev/log"}, AccessLog("json", "syslog:/dev/log")),
    ],
)
def test_access_log(access_log, expected):
    """A format is a section, too."""
    assert listener(access_log=access_log).access_log == expected


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"tls": "yes"}, "write true, false or a section"),
        ({"tls": {"minimum": "1.1"}}, "'1.2' or '1.3'"),
        ({"tls": {"http3": True}, "proxy_protocol": True}, "tls.http3 is for listeners of protocol http"),
        ({"tls": {"http3": True}, "protocol": "tcp"}, "tls.http3 is for listeners of protocol http"),
        ({"access_log": "text"}, "'json' or 'combined'"),
        ({"access_log": "json", "protocol": "tcp"}, "access_log is for listeners of protocol http"),
        ({"redirect": "websecure", "protocol": "tcp"}, "redirect is for listeners of protocol http"),
        ({"access_log": {"to": "web.log"}}, "the absolute path of a file"),
        ({"access_log": {"to": "/a;b"}}, "the absolute path of a file"),
        ({"access_log": {"to": "/a\n"}}, "the absolute path of a file"),
        ({"access_log": {"to": "syslog:log.example.org:514"}}, "syslog:ADDRESS:PORT"),
    ],
)
def test_refused(keys, said):
    """With what to write instead."""
    with pytest.raises(ValidationError, match=said):
        listener(**keys)


@pytest.mark.parametrize(
    ("redirect", "expected"),
    [
        ("websecure", ListenerRedirect("https", 443, 308)),
        ({"to": "other", "permanent": False}, ListenerRedirect("https", 8080, 307)),
        ({"to": ":8443", "priority": 10}, ListenerRedirect("https", 8443, 308, 10)),
        ({"to": "other", "scheme": "http"}, ListenerRedirect("http", 8080, 308)),
    ],
)
def test_redirect(redirect, expected):
    """To the port that clients see."""
    assert redirecting(redirect).redirect == expected


@pytest.mark.parametrize(
    ("redirect", "said"),
    [
        ("web", "listeners.web.redirect.to: web would lead to itself; name another listener"),
        ("nowhere", "there is no HTTP listener nowhere; name websecure or other or :PORT"),
        ("dns", "there is no HTTP listener dns"),
        (":0", ":0 is not a whole number from 1 to 65535"),
        ({"to": "other", "code": 301}, "Extra inputs are not permitted"),
    ],
)
def test_redirect_refused(redirect, said):
    """With what to write instead."""
    with pytest.raises(ValidationError, match=said):
        redirecting(redirect)


def redirecting(redirect: object) -> Listener:
    """The listener web, with others that it may redirect to."""
    others = {
        "websecure": {"bind": ":8443", "public_port": 443, "tls": True},
        "other": {"bind": ":8080"},
        "dns": {"bind": ":53", "protocol": "udp"},
    }
    settings = Settings.model_validate({"listeners": {"web": {"bind": ":80", "redirect": redirect}, **others}})
    return next(made for made in settings.rules().listeners if made.name == "web")
