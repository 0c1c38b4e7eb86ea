"""What was good last stays in force where certificates, users files and authorities are broken while lbgen runs."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lbgen.render.credentials import KINDS, CredentialReader, Credentials
from lbgen.render.kept_credentials import KeptCredentials
from lbgen.settings import Settings
from tests.support.certificates import certificate
from tests.support.clock import Clock

BCRYPT = "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
DAY = 86400.0


class Place:
    """The directories and an output directory."""

    def __init__(self, root: Path) -> None:
        self.root, self.output, self.clock = root, root / "out", Clock(datetime.now(UTC).timestamp())
        for name in ("certs", "users", "ca", "server-ca", "pages", "out"):
            (root / name).mkdir()
        self.settings = Settings(
            certificates=root / "certs",
            users=root / "users",
            client_cas=root / "ca",
            server_cas=root / "server-ca",
            pages=root / "pages",
        )
        self.shop, self.staff = root / "certs/shop.pem", root / "users/staff"
        self.partners = root / "ca/partners.pem"
        self.start()

    def start(self) -> None:
        """Begin without a memory, as a restarted lbgen does."""
        self.reader = CredentialReader(self.settings, kept=KeptCredentials(self.output), clock=self.clock, system=())

    def read(self) -> Credentials:
        return self.reader.read()

    def renew(self, *names: str, days: float = 0.0) -> bytes:
        """Write a certificate that is whole, valid from so many days on; return its content."""
        certificate(self.shop, *(names or ("shop.example.org",)), days=days)
        return self.shop.read_bytes()

    def in_force(self) -> bytes:
        """What the proxy reads by the path that it is given."""
        (found,) = self.read().certificates
        assert found.name == "shop.pem"
        return Path(found.path).read_bytes()


@pytest.fixture
def place(tmp_path) -> Place:
    return Place(tmp_path)


def cut(good: bytes, at: bytes, more: int) -> bytes:
    return good[: good.index(at) + more]


def broken(place: Place) -> dict[str, bytes]:
    """What a certificate may be while it is renewed, or after that failed."""
    good = place.shop.read_bytes()
    key = good.index(b"-----BEGIN PRIVATE")
    certificate(place.root / "other.pem", "shop.example.org")
    other = (place.root / "other.pem").read_bytes()
    return {
        "empty": b"",
        "within the certificate": cut(other, b"-----BEGIN CERT", 200),
        "without its key": other[: other.index(b"-----BEGIN PRIVATE")],
        "within the key": cut(other, b"-----BEGIN PRIVATE", 80),
        "within its last line": other[:-10],
        "another's key": other[: other.index(b"-----BEGIN PRIVATE")] + good[key:],
        "no PEM at all": b"\x00\xff" * 300,
    }


@pytest.mark.parametrize("restarted", [False, True], ids=["", "restarted"])
@pytest.mark.parametrize(
    "how",
    [
        "empty",
        "within the certificate",
        "without its key",
        "within the key",
        "within its last line",
        "another's key",
        "no PEM at all",
    ],
)
def test_broken_certificate(place, how, restarted):
    """The one before stays in force, also over a restart, and a problem says so; a whole one takes its place."""
    good = place.renew()
    assert place.in_force() == good
    assert place.read().certificates[0].path == str(place.shop)
    place.shop.write_bytes(broken(place)[how])
    if restarted:
        place.start()
    for _ in ("read", "remembered"):
        assert place.in_force() == good
        (problem,) = place.read().problems
        assert problem.file == str(place.shop)
        assert "what was good last stays in force" in problem.remedy
        since = datetime.fromtimestamp(place.shop.stat().st_mtime, UTC)
        assert f"(since {since:%Y-%m-%d %H:%M:%S} UTC)" in problem.message
    renewed = place.renew()
    assert place.in_force() == renewed != good
    assert (place.read().problems, place.read().certificates[0].path) == ((), str(place.shop))
    place.shop.write_bytes(b"")
    assert place.in_force() == renewed  # it is what is kept now


def test_without_a_past(place):
    """A pipeline has none, and neither has a file that was never whole: it is left out, as the problem says."""
    place.shop.write_bytes(b"")
    for reader in (place.reader, CredentialReader(place.settings)):
        assert reader.read().certificates == ()
        (problem,) = reader.read().problems
        assert "it is left out till then" in problem.remedy
    place.renew()
    CredentialReader(place.settings).read()
    assert list(place.output.iterdir()) == []  # nothing but a running lbgen keeps copies


def test_expired(place):
    """An expired certificate takes the place of none and of an expired one, but not of one that has not expired."""
    expired = place.renew(days=-30)
    assert place.in_force() == expired
    valid = place.renew()
    assert place.in_force() == valid
    place.shop.write_bytes(expired)
    assert place.in_force() == valid
    assert "has expired on " in place.read().problems[0].message
    place.clock.now += 10 * DAY
    assert place.in_force() == expired  # so has the other by now
    assert place.read().problems == ()
    place.shop.write_bytes(b"")
    assert place.in_force() == expired  # better than a closed port


def test_removed(place):
    """A file that is removed was removed on purpose: nothing brings it back, not even a broken one of its name."""
    place.renew()
    place.read()
    place.shop.unlink()
    assert place.read() == Credentials(readable=frozenset(KINDS))
    place.shop.write_bytes(b"")
    assert place.read().certificates == ()


def test_directory_gone(place):
    """A directory that is gone, a mount say, takes nothing out of force."""
    good = place.renew()
    place.staff.write_text(f"bob:{BCRYPT}\n")
    place.read()
    shutil.move(place.root / "certs", place.root / "away")
    shutil.move(place.root / "users", place.root / "away too")
    for _ in ("at once", "restarted"):
        assert place.in_force() == good
        assert list(place.read().users) == ["staff"]
        assert sorted(problem.file for problem in place.read().problems) == [
            str(place.root / "certs"),
            str(place.root / "users"),
        ]
        place.start()
    shutil.move(place.root / "away", place.root / "certs")
    assert place.read().certificates[0].path == str(place.shop)


@pytest.mark.parametrize("content", ["", "# nobody\n", "bob:hunter2\n", f"bob:{BCRYPT[:-3]}\n", "bob", "\x00"])
def test_broken_users(place, content):
    """A users file that cannot be read, or has no user where there was one, lets in who was let in before."""
    place.staff.write_text(f"bob:{BCRYPT}\n")
    users = place.read().users
    place.staff.write_text(content)
    place.start()
    found = place.read()
    assert found.users == users
    assert Path(found.users_files["staff"]).read_text() == f"bob:{BCRYPT}\n"
    assert [problem.file for problem in found.problems] == [str(place.staff)]
    assert "hunter2" not in found.problems[0].message
    place.staff.write_text(f"eve:{BCRYPT}\n")
    found = place.read()
    assert [user.name for user in found.users["staff"]] == ["eve"]
    assert (found.users_files["staff"], found.problems) == (str(place.staff), ())


def test_no_users_at_first(place):
    """A users file that never had a user has none: nobody is let in, and nothing is wrong."""
    place.staff.write_text("")
    assert (place.read().users, place.read().problems) == ({"staff": ()}, ())


@pytest.mark.parametrize("content", [b"", b"half a bundle"])
def test_broken_authorities(place, content):
    """Authorities that are cut short are not taken: clients of the missing ones would be turned away."""
    first, second = (certificate(place.root / f"{name}.pem", name).read_bytes() for name in "ab")
    both = b"".join(pem[: pem.index(b"-----BEGIN PRIVATE")] for pem in (first, second))
    place.partners.write_bytes(both)
    place.read()
    place.partners.write_bytes(content and both[:-40])
    found = place.read()
    assert Path(found.client_cas["partners"].path).read_bytes() == both
    assert [problem.file for problem in found.problems] == [str(place.partners)]


def test_nobody_else_can_read_a_copy(place):
    """A copy is as closed as the original with all directories on the way to it."""
    place.renew()
    place.staff.write_text(f"bob:{BCRYPT}\n")
    place.shop.chmod(0o640)
    place.staff.chmod(0o644)
    (place.root / "certs").chmod(0o750)
    place.root.chmod(0o700)
    place.read()
    kept = place.output / ".lbgen-kept"
    assert (kept / "certificates/shop.pem").stat().st_mode & 0o777 == 0o640
    assert (kept / "users/staff").stat().st_mode & 0o777 == 0o644
    for kind in ("certificates", "users"):
        assert (kept / kind).stat().st_mode & 0o777 == 0o700


def test_unwritable(place):
    """Copies that cannot be written are told once; the files themselves are used as ever."""
    (place.output / ".lbgen-kept").write_text("in the way")
    good = place.renew()
    with capture_logs() as logs:
        for _ in range(3):
            assert place.in_force() == good
    assert [entry["event"] for entry in logs] == ["credentials_not_kept"]


def test_only_reads(place):
    """The reader that finds the problems sees what is kept, and writes nothing itself."""
    good = place.renew()
    other = CredentialReader(place.settings, kept=place.reader.kept.reading())
    assert other.read().problems == ()
    assert not (place.output / ".lbgen-kept").exists()
    place.read()
    place.shop.write_bytes(b"")
    (found,) = other.read().certificates
    assert Path(found.path).read_bytes() == good
    assert "stays in force" in other.read().problems[0].remedy
