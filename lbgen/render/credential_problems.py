"""What is wrong with the files that labels name: those that are missing, and those that cannot be used."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lbgen.base.problem import Problem
from lbgen.labels.values.password_cost import REMEDY, WAITING, Level, cost_of
from lbgen.labels.values.users import REMEDY as USERS_REMEDY
from lbgen.model import Backend, Model, Route
from lbgen.model.tls import domain_of, hosts_of
from lbgen.render.credentials import DEFAULT, KINDS, SUFFIX, SYSTEM, Credentials
from lbgen.render.sni import is_for
from lbgen.snapshot import Note

_MOST_USERS = 5  # named in one message
_TITLES = {"haproxy": "HAProxy", "nginx": "Nginx", "traefik": "Traefik"}
_OF_MACHINE = ("server_cas", SYSTEM)
_INSTEAD = {
    "users": "nobody is let in",
    "client_cas": "nobody is let in",
    "server_cas": "its servers get no requests, which are answered 503",
    "certificates": "the certificate is chosen by host",
    "pages": "the answer stays as it is",
}


def missing_credentials(model: Model, credentials: Credentials, *, here: bool = False) -> list[Problem]:
    """List a problem for each name in the model that has no file, and for TLS listeners without any certificate.

    Args:
        here: a directory that does not exist counts as empty. If not, its names are not checked: a pipeline that lints
            a stack file has none of the files, and need not.
    """
    readable = {*KINDS} if here else credentials.readable
    known: dict[str, Container[str]] = {
        "users": {*credentials.users, *(item.name for item in model.users)},
        "client_cas": credentials.client_cas,
        "server_cas": credentials.server_cas,
        "certificates": {item.name.removesuffix(SUFFIX) for item in credentials.certificates},
        "pages": credentials.pages,
    }
    backends = {backend.name: backend for backend in model.backends}
    problems = []
    for route in model.routes:
        backend = backends[route.backend]
        named = (
            ("users", backend.policy.users, "basic-auth"),
            ("client_cas", route.client_ca, "client-ca"),
            ("certificates", route.certificate, "tls"),
            *(("pages", page.file, f"error-pages.{page.key}") for page in backend.error_pages),
            ("server_cas", backend.server_ca, "server-ca"),
        )
        for kind, name, key in named:
            # What this machine trusts is in no directory of the settings, and is looked for in any case.
            if name and (kind in readable or (kind, name) == _OF_MACHINE) and name not in known[kind]:
                problems.append(_missing_file(kind, name, key, route, backend))
    listeners = ", ".join(listener.name for listener in model.listeners if listener.tls)
    if listeners and "certificates" in readable and not credentials.certificates:
        message = f"is missing, and so is any other certificate for {listeners}; HAProxy and Nginx keep that closed"
        remedy = "put a certificate, its chain and its key into the directory of setting certificates, as one PEM file"
        problems.append(Problem("", message, remedy, file=DEFAULT))
    return problems


def unseen_certificates(model: Model, credentials: Credentials, directory: Path) -> tuple[Note, ...]:
    """Return a note if listeners need certificates and the directory of these is not on this machine.

    That is no problem where a pipeline renders for another machine, but on that one the listeners would stay closed.
    """
    listeners = ", ".join(listener.name for listener in model.listeners if listener.tls)
    if not listeners or "certificates" in credentials.readable:
        return ()
    message = f"there is no such directory here, so nothing is known of the certificates for {listeners}"
    remedy = "HAProxy and Nginx keep that closed while there is none; see setting certificates"
    return (Note(str(directory), 0, "", message, remedy),)


def slow_passwords(credentials: Credentials) -> tuple[Note, ...]:
    """Return a note for each users file with hashes that are used, but make other requests wait."""
    return tuple(
        Note(path, 0, "", f"HAProxy and Nginx let every other request wait while they compare: {users}", REMEDY)
        for path, users in _costs(credentials, Level.TOLD)
    )


def with_credential_problems(model: Model, credentials: Credentials, *, here: bool = False) -> Model:
    """Return the model with the problems of the credentials, and of those that it names and are missing."""
    missing = missing_credentials(model, credentials, here=here)
    problems = {
        *credentials.problems,
        *missing,
        *_refused_passwords(credentials),
        *_unknown_passwords(model, credentials),
        *_for_others(model, credentials),
    }
    return replace(model, problems=tuple(sorted({*model.problems, *problems}))) if problems else model


def _refused_passwords(credentials: Credentials) -> Iterator[Problem]:
    """Yield a problem for each users file with hashes that HAProxy and Nginx are not given."""
    for path, users in _costs(credentials, Level.REFUSED):
        message = f"has hashes that take too long to compare, while every other request waits: {users}"
        effect = "till then HAProxy does not let these users in, and Nginx nobody of the file"
        yield Problem("", message, f"{REMEDY}; {effect}", file=path)


def _unknown_passwords(model: Model, credentials: Credentials) -> Iterator[Problem]:
    """Yield a problem for each label, and proxy, with hashes that the proxy is not given."""
    for item in model.users:
        for proxy in sorted(credentials.proxies):
            users = [user for user in item.users if proxy in _TITLES and proxy not in user.proxies]
            if users:
                hashes = _some([f"user {user.name} has {user.kind}" for user in users])
                message = f"has hashes that {_TITLES[proxy]} does not know, or compares too slowly: {hashes}"
                yield Problem(
                    item.service, message, f"{USERS_REMEDY}; these users are not let in till then", item.label
                )


def _some(texts: Sequence[str]) -> str:
    more = f", and {len(texts) - _MOST_USERS} more" if len(texts) > _MOST_USERS else ""
    return ", ".join(texts[:_MOST_USERS]) + more


def _for_others(model: Model, credentials: Credentials) -> Iterator[Problem]:
    """Yield a problem for each certificate that a label names for others' host, too, and that is not for it."""
    files = {item.name.removesuffix(SUFFIX): item for item in credentials.certificates}
    for item in dict.fromkeys(item for listener in model.listeners for item in listener.hosts if item.shared):
        file, hosts = files.get(item.certificate), {item.host, domain_of(item.host)}
        for route in model.routes if file and not is_for(file, item.host) else ():
            if route.certificate == item.certificate and not hosts.isdisjoint(hosts_of(route)):
                message = f"certificate {item.certificate} is not for {item.host}, which other services have routes for"
                remedy = "name one that is for it; till then the certificate is chosen by host"
                yield Problem(route.service, message, remedy, route=route.name)


def _costs(credentials: Credentials, level: Level) -> Iterator[tuple[str, str]]:
    """Yield the path of each users file that has hashes of this level, with the users, if it is for such a proxy."""
    if credentials.proxies and not WAITING & credentials.proxies:
        return
    for name, users in sorted(credentials.users.items()):
        costs = ((user.name, cost_of(user.hash)) for user in users)
        found = [f"user {user} has {cost.text}" for user, cost in costs if cost.level is level]
        if found:
            yield credentials.users_files[name], _some(found)


def _missing_file(kind: str, name: str, key: str, route: Route, backend: Backend) -> Problem:
    suffix = SUFFIX if SUFFIX in KINDS[kind] else ""
    message, remedy = f"there is no file {name}{suffix} in the directory of setting {kind}", "put it there"
    if (kind, name) == _OF_MACHINE:
        message, remedy = "this machine has no file of the authorities that it trusts", "install ca-certificates"
    own = backend.route if backend.service == route.service else ""
    label = f"lbgen.{route.protocol}.{own}.{key}" if own else f"lbgen.{key}"
    return Problem(route.service, f"{message}; till then {_INSTEAD[kind]}", remedy, label, name, own)
