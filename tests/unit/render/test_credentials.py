"""`render.credentials`: what the directories of certificates, users and authorities hold, and what is wrong there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from lbgen.base.unexpected import KEEPS_FAILING, UNEXPECTED, Part
from lbgen.labels.values.password_cost import REMEDY, Cost, Level, cost_of
from lbgen.labels.values.users import User
from lbgen.model import Model
from lbgen.render import credentials
from lbgen.render.credential_problems import missing_credentials, slow_passwords, with_credential_problems
from lbgen.render.credentials import KINDS, CredentialReader, Credentials
from tests.support.builders import a_listener, a_network, a_node, a_rules, a_service, modelled
from tests.support.certificates import UNREADABLE, certificate

BCRYPT = "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"


@dataclass
class Places:
    certificates: Path
    users: Path
    client_cas: Path
    pages: Path
    server_cas: Path


@pytest.fixture
def places(tmp_path):
    """Empty directories."""
    made = Places(*(tmp_path / name for name in ("certs", "users", "ca", "pages", "server-ca")))
    for path in (made.certificates, made.users, made.client_cas, made.pages, made.server_cas):
        path.mkdir()
    return made


def test_nothing(places, tmp_path):
    """Empty directories are there; others are not, which is no problem by itself."""
    assert CredentialReader(places, system=()).read() == Credentials(readable=frozenset(KINDS))
    nowhere = Places(*(tmp_path / str(number) for number in range(5)))
    assert CredentialReader(nowhere, system=()).read() == Credentials()


def test_certificates(places):
    """Sorted by name, but the default comes first; only .pem files count."""
    for name in ("b", "default", "a"):
        certificate(places.certificates / f"{name}.pem", f"{name}.example.org")
    (places.certificates / "readme").write_text("x")
    (places.certificates / ".old.pem").write_text("x")
    (places.certificates / "sub.pem").mkdir()
    found = CredentialReader(places).read()
    assert [item.name for item in found.certificates] == ["default.pem", "a.pem", "b.pem"]
    assert found.certificates[1].path == str(places.certificates / "a.pem")
    assert found.problems == ()


def test_shared_directory(places):
    """Kinds may share a directory, in whatever order they are read: a file is a problem only if no kind can use it."""
    shared = Places(*[places.certificates] * 5)
    certificate(places.certificates / "shop.pem", "shop.example.org")
    whole = (places.certificates / "shop.pem").read_text()
    (places.certificates / "staff-ca.pem").write_text(
        whole[whole.index("-----BEGIN CERTIFICATE") :].split("-----BEGIN PRIV")[0]
    )
    (places.certificates / "staff").write_text(f"bob:{BCRYPT}\n")
    (places.certificates / "broken.pem").write_text("nothing")
    reader = CredentialReader(shared)
    for _ in ("read", "remembered"):
        credentials = reader.read()
        assert [item.name for item in credentials.certificates] == ["shop.pem"]
        assert sorted(credentials.client_cas) == ["shop", "staff-ca"]
        assert list(credentials.users) == ["staff"]
        assert [problem.file for problem in credentials.problems] == [str(places.certificates / "broken.pem")]


def test_renewed(places):
    """Another content is another digest, even in a file of the same size and time; a touched file is the same."""
    path = certificate(places.certificates / "a.pem", "a.example.org")
    reader = CredentialReader(places)
    first = reader.read().certificates[0].digest
    os.utime(path)
    assert reader.read().certificates[0].digest == first
    status = path.stat()
    other = certificate(places.certificates / "new", "a.example.org")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(path)
    assert reader.read().certificates[0].digest != first


def test_read_once(places, monkeypatch):
    """What has not changed is not read again."""
    certificate(places.certificates / "a.pem", "a.example.org")
    reader = CredentialReader(places)
    first = reader.read()
    monkeypatch.setattr(os, "open", None)
    assert reader.read() == first


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not a certificate with its key"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "is not a certificate with its key"),
        ("no key", "is not a certificate with its key"),
        ("other key", "has a key that does not fit its certificate"),
        ("x" * 2_000_000, "is larger than 1 MiB"),
    ],
)
def test_bad_certificate(places, content, message):
    """It is left out and told; the others stay."""
    good = certificate(places.certificates / "good.pem", "a.example.org").read_text()
    key = good.index("-----BEGIN PRIVATE")
    if content == "no key":
        content = good[:key]
    elif content == "other key":
        other = certificate(places.users.parent / "other.pem", "b.example.org").read_text()
        content = good[:key] + other[other.index("-----BEGIN PRIVATE") :]
    (places.certificates / "bad.pem").write_text(content)
    found = CredentialReader(places).read()
    assert [item.name for item in found.certificates] == ["good.pem"]
    (problem,) = found.problems
    assert message in problem.message
    assert str(problem).startswith(f"file {places.certificates / 'bad.pem'}: ")


@pytest.mark.parametrize("name", ["a b.pem", "a'b.pem", "ä.pem", "a\nb.pem", "a;b.pem", "a{b.pem"])
def test_bad_file_name(places, name):
    """A file whose name is syntax somewhere is left out."""
    certificate(places.certificates / name, "a.example.org")
    found = CredentialReader(places).read()
    assert found.certificates == ()
    assert str(found.problems[0]).isprintable()


def test_authorities(places):
    """A certificate without key, found by its name without suffix."""
    text = certificate(places.users.parent / "x.pem", "authority").read_text()
    (places.client_cas / "partners.pem").write_text(text[: text.index("-----BEGIN PRIVATE")])
    (places.client_cas / "broken.pem").write_text("x")
    found = CredentialReader(places).read()
    assert list(found.client_cas) == ["partners"]
    assert [problem.file for problem in found.problems] == [str(places.client_cas / "broken.pem")]


def test_users(places):
    """Lines NAME:HASH, in every form that some proxy takes."""
    hashes = {"a": BCRYPT, "b": "$6$salt$hash", "c": "$5$rounds=1000$salt$hash"}
    lines = "".join(f"{name}:{hashed}\n" for name, hashed in reversed(hashes.items()))
    (places.users / "staff").write_text("# people\n\n" + lines)
    (places.users / "nobody").write_text("")
    found = CredentialReader(places).read()
    assert found.users == {"nobody": (), "staff": tuple(User(*item) for item in hashes.items())}


@pytest.mark.parametrize(
    "line",
    [
        "anna:s3cret",
        "anna",
        ":x",
        "an na:" + BCRYPT,
        "anna:$2y$05$a b",
        "anna:$apr1$salt$hash",
        "anna:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
        f"a'b:{BCRYPT}",
    ],
)
def test_bad_users(places, line):
    """The file is left out, and what it says, which may be a password, is in no message."""
    (places.users / "staff").write_text(f"bob:{BCRYPT}\n{line}\n")
    found = CredentialReader(places).read()
    assert found.users == {}
    assert "line 2" in found.problems[0].message
    assert "s3cret" not in found.problems[0].message + found.problems[0].remedy


@pytest.mark.parametrize(
    ("start", "level", "text"),
    [
        ("$2y$04$", Level.CHEAP, "bcrypt of cost 4"),
        ("$2a$08$", Level.CHEAP, "bcrypt of cost 8"),
        ("$2b$09$", Level.TOLD, "bcrypt of cost 9"),
        ("$2y$10$", Level.TOLD, "bcrypt of cost 10"),
        ("$2y$11$", Level.REFUSED, "bcrypt of cost 11"),
        ("$2y$31$", Level.REFUSED, "bcrypt of cost 31"),
        ("$5$salt$x", Level.CHEAP, "SHA-crypt of 5000 rounds"),
        ("$6$rounds=25000$salt$x", Level.CHEAP, "SHA-crypt of 25000 rounds"),
        ("$6$rounds=25001$salt$x", Level.TOLD, "SHA-crypt of 25001 rounds"),
        ("$5$rounds=100000$salt$x", Level.TOLD, "SHA-crypt of 100000 rounds"),
        ("$5$rounds=100001$salt$x", Level.REFUSED, "SHA-crypt of 100001 rounds"),
        ("$6$rounds=030000000$salt$x", Level.REFUSED, "SHA-crypt of 30000000 rounds"),
        ("$6$rounds=" + "9" * 5000 + "$salt$x", Level.REFUSED, "SHA-crypt of 999999999999 rounds"),
        ("$y$j9T$salt$x", Level.REFUSED, "a hash of an unknown kind"),
        ("$7$CU..../....salt$x", Level.REFUSED, "a hash of an unknown kind"),
    ],
)
def test_cost(start, level, text):
    """Where the limits are: what two proxies ask crypt() for while every other request waits."""
    assert cost_of(start) == Cost(level, text)


@pytest.mark.parametrize("proxies", [(), ("haproxy",), ("traefik", "nginx")])
def test_costly_hashes(places, proxies):
    """The file stays in use; a problem names it, the users, the costs and the remedy. What is only slow is a note."""
    hashes = {f"u{number}": BCRYPT.replace("$04$", "$12$") for number in range(1, 8)}
    hashes |= {"anna": BCRYPT, "bob": "$6$rounds=30000000$salt$abc", "slow": BCRYPT.replace("$04$", "$10$")}
    (places.users / "staff").write_text("".join(f"{name}:{hashed}\n" for name, hashed in hashes.items()))
    (places.users / "fine").write_text(f"anna:{BCRYPT}\n")
    found = CredentialReader(places, proxies=proxies).read()
    assert [user.name for user in found.users["staff"] if not user.costly] == ["anna", "slow"]
    (problem,) = with_credential_problems(modelled(), found).problems
    assert problem.file == str(places.users / "staff")
    assert "user bob has SHA-crypt of 30000000 rounds, user u1 has bcrypt of cost 12" in problem.message
    assert problem.message.endswith("user u4 has bcrypt of cost 12, and 3 more")
    assert "`htpasswd -B -C 8`" in problem.remedy
    (note,) = slow_passwords(found)
    assert (note.file, note.remedy, note.refused) == (problem.file, REMEDY, False)
    assert note.message.endswith("user slow has bcrypt of cost 10")
    assert "abcdefghijkl" not in f"{problem} {note}"


def test_costly_hashes_elsewhere(places):
    """To proxies that compare passwords beside other requests their costs do not matter."""
    (places.users / "staff").write_text(f"bob:{BCRYPT.replace('$04$', '$12$')}\n")
    found = CredentialReader(places, proxies=["traefik", "other"]).read()
    assert with_credential_problems(modelled(), found).problems == ()
    assert slow_passwords(found) == ()


def test_unreadable(places, monkeypatch):
    """A file that lbgen may not read is told, with the remedy."""
    (places.users / "staff").write_text(f"bob:{BCRYPT}\n")

    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert "Permission denied" in CredentialReader(places).read().problems[0].message


@pytest.mark.parametrize("kind", sorted(UNREADABLE))
@pytest.mark.proxy("openssl")
def test_certificate_beyond_cryptography(places, kind):
    """What openssl makes and cryptography cannot read is left out and told; the others stay."""
    certificate(places.certificates / "good.pem", "a.example.org")
    UNREADABLE[kind](places.certificates / "bad.pem")
    UNREADABLE[kind](places.client_cas / "bad.pem")
    found = CredentialReader(places).read()
    assert [item.name for item in found.certificates] == ["good.pem"]
    (problem,) = found.problems
    assert problem.file == str(places.certificates / "bad.pem")
    assert "lbgen" in problem.message
    assert UNEXPECTED.counts()[Part.CREDENTIALS] == 0


@pytest.mark.parametrize("error", [RuntimeError("a mistake"), RecursionError(), MemoryError()])
def test_reading_that_raises(places, monkeypatch, error):
    """What nobody expected of one file is a problem of that file, and counted; the others stay."""
    certificate(places.certificates / "good.pem", "a.example.org")
    (places.users / "staff").write_text(f"bob:{BCRYPT}\n")

    reading = credentials.content_of

    def read(kind: str, *args: object) -> object:
        if kind == "users":
            raise error
        return reading(kind, *args)

    monkeypatch.setattr(credentials, "content_of", read)
    reader = CredentialReader(places)
    found = reader.read()
    assert [item.name for item in found.certificates] == ["good.pem"]
    (problem,) = found.problems
    assert problem.file == str(places.users / "staff")
    assert type(error).__name__ in problem.message
    for _ in range(KEEPS_FAILING):  # it is tried again each time
        reader.read()
    assert UNEXPECTED.counts()[Part.CREDENTIALS] == KEEPS_FAILING + 1
    assert len(UNEXPECTED.keep_failing()) == 1
    monkeypatch.setattr(credentials, "content_of", reading)
    assert reader.read().users
    assert UNEXPECTED.keep_failing() == []


def asking(**keys: str) -> Model:
    """The model of a service that names files."""
    rules = a_rules(a_listener(), a_listener("websecure", 443, tls=True))
    service = a_service("shop", {"port": 80, "host": "a.org", **keys}, networks=("edge-id",))
    return modelled(a_node(), a_network(), service, rules=rules)


@pytest.mark.parametrize(
    ("key", "file"),
    [
        ("basic-auth", "users: x"),
        ("client-ca", "client_cas: x.pem"),
        ("tls", "certificates: x.pem"),
        ("server-ca", "server_cas: x.pem"),
    ],
)
def test_missing(key, file, places, tmp_path):
    """A name without a file is a problem of its service, unless there is no such directory at all."""
    model = asking(**{key: "x", **({"scheme": "https"} if key == "server-ca" else {})})
    assert model.problems == ()
    certificate(places.certificates / "default.pem", "default.example")
    (problem,) = missing_credentials(model, CredentialReader(places).read())
    # A value of basic-auth is never shown: it may be what its owner should not have written there.
    assert (problem.service, problem.label) == ("shop", f"lbgen.{key}")
    assert problem.value == ("" if key == "basic-auth" else "x")
    kind, _, name = file.partition(": ")
    assert f"there is no file {name} in the directory of setting {kind}" in problem.message
    assert with_credential_problems(model, CredentialReader(places).read()).problems == (problem,)
    nowhere = Places(*(tmp_path / str(number) for number in range(5)))
    assert with_credential_problems(model, CredentialReader(nowhere).read()) is model


def test_named_route(places):
    """The label of a named route is named in full."""
    model = asking(**{"http.api.basic-auth": "x"})
    assert missing_credentials(model, CredentialReader(places).read())[0].label == "lbgen.http.api.basic-auth"


def test_there(places):
    """No problem with what is there."""
    (places.users / "staff").write_text(f"bob:{BCRYPT}\n")
    certificate(places.certificates / "a.pem", "a.org")
    assert missing_credentials(asking(**{"basic-auth": "staff"}), CredentialReader(places).read()) == []
    assert credentials.DEFAULT == "default.pem"


def test_no_certificate(places, tmp_path):
    """A TLS listener without any certificate is a problem; for a pipeline only if there is such a directory."""
    model = asking()
    (problem,) = missing_credentials(model, CredentialReader(places).read())
    assert problem.file == "default.pem"
    assert "websecure" in problem.message
    nowhere = CredentialReader(Places(*(tmp_path / str(number) for number in range(5)))).read()
    assert missing_credentials(model, nowhere) == []
    assert missing_credentials(model, nowhere, here=True) == [problem]


def test_names(places):
    """The hosts that a certificate is for; its common name counts where it has no others."""
    certificate(places.certificates / "a.pem", "A.org", "*.a.org")
    assert CredentialReader(places).read().certificates[0].names == ("*.a.org", "a.org")
