"""What is wrong with what a file provider defines, as far as no router has to be asked.

The same tables as for labels say it. What Traefik knows and lbgen cannot honour is no mistake: it closes the routers
that name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lbgen.base.problem import Problem
from lbgen.labels.context import Provider
from lbgen.labels.definitions import FILE, Definition, Definitions
from lbgen.labels.foreign_options import Element, Lost, Options, Table, Taken, Written, meaning_of, read
from lbgen.labels.route_spec import problem_of
from lbgen.labels.suggestions import alike
from lbgen.labels.traefik.file_options import SERVICES
from lbgen.labels.traefik.file_provider import FileElements
from lbgen.labels.traefik.file_services import FileServices
from lbgen.labels.traefik.middleware_effects import EFFECTS, Effects
from lbgen.labels.traefik.middleware_options import KINDS, TCP_KINDS
from lbgen.labels.traefik.tls_options import OPTIONS, client_ca
from lbgen.labels.traefik.transports import TRANSPORT
from lbgen.labels.values.users import hashed_users
from lbgen.labels.values.value_type import BadValue

# Kinds of middlewares that only Traefik has, but that are no mistakes.
_ONLY_TRAEFIKS = ("digestauth", "passtlsclientcert", "grpcweb", "encodedcharacters", "plugin")
_SPELT = {
    kind.lower(): kind
    for kind in (
        *("addPrefix", "basicAuth", "buffering", "chain", "circuitBreaker", "compress", "contentType", "digestAuth"),
        *("encodedCharacters", "errors", "forwardAuth", "grpcWeb", "headers", "inFlightConn", "inFlightReq"),
        *("ipAllowList", "ipWhiteList", "passTLSClientCert", "plugin", "rateLimit", "redirectRegex", "redirectScheme"),
        *("replacePath", "replacePathRegex", "retry", "stripPrefix", "stripPrefixRegex"),
    )
}


@dataclass(frozen=True, slots=True)
class Checked:
    """What there is to say of what a file provider defines."""

    mistakes: tuple[Problem, ...]  # the settings cannot be used
    notes: tuple[Problem, ...]  # what closes the routers that name it, and what is left out


def checked(found: FileElements) -> Checked:
    """Return what is wrong, sorted by its place.

    Of the settings' own sections every bad value is a mistake. A file is Traefik's as well: what only lbgen does
    not take is a note there.
    """
    wrong, notes = list(found.mistakes), list(found.notes)
    for key, element in found.elements.items():
        broken = any(problem.label.startswith(found.places[key]) for problem in found.mistakes)
        if not broken:  # one message for one mistake
            check = {"middlewares": _middleware, "services": _service, "options": _tls_options}.get(
                element.kind, _transport
            )
            (notes if key in found.from_files else wrong).extend(check(element, found))
        if element.kind == "options":
            notes += _not_asked(element)
    return Checked(_sorted(wrong), _sorted(notes))


def _sorted(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(set(problems), key=lambda problem: problem.label))


def _middleware(element: Element, found: FileElements) -> Iterator[Problem]:
    where = found.places[element.protocol, element.kind, element.name]
    tables = KINDS if element.protocol == "http" else TCP_KINDS
    kinds: dict[str, Element] = {}
    for option, written in element.options.items():
        kind, _, rest = option.partition(".")
        kinds.setdefault(kind, Element(element.protocol, kind, element.name)).options[rest] = written
    for kind, own in kinds.items():
        if kind in tables:
            yield from _options(own, tables[kind], found, where)
        elif kind not in _ONLY_TRAEFIKS or element.protocol == "tcp":
            close = alike(kind, tables)
            known = ", ".join(_SPELT[name] for name in tables)
            remedy = f"did you mean {_SPELT[close]}?" if close else f"write one of {known}"
            yield problem_of("", where, kind, BadValue("is of a kind that there is not", remedy))
    if len(kinds) != 1:
        names = f"is of several kinds ({', '.join(kinds)}), which Traefik refuses" if kinds else "is of no kind"
        yield problem_of("", where, "", BadValue(names, "make it two" if kinds else "write a kind, such as headers"))


def _service(element: Element, found: FileElements) -> Iterator[Problem]:
    where = found.places[element.protocol, element.kind, element.name]
    wrong = list(_options(element, SERVICES[element.protocol], found, where))
    yield from wrong
    if wrong or any(_lost(option, SERVICES[element.protocol]) for option in element.options):
        return
    definitions = Definitions(settings={key: Definition(each) for key, each in found.elements.items()})
    reader = FileServices(definitions, "", element.protocol, Options("", ""), Provider())
    try:
        reader.shares(definitions.settings[element.protocol, element.kind, element.name])
    except BadValue as bad:
        if all(use.reference.partition("@")[2] in ("", FILE) for use in reader.uses):  # else labels may say more
            yield problem_of("", where, "", bad)


def _tls_options(element: Element, found: FileElements) -> Iterator[Problem]:
    yield from _options(element, OPTIONS, found, found.places[element.protocol, element.kind, element.name])


def _not_asked(element: Element) -> Iterator[Problem]:
    """Yield what of TLS options is left out, or cannot be asked of clients, which closes the routers that name them."""
    own = read("", "", element, OPTIONS)
    yield from own.left
    try:
        client_ca(own.fields)
    except BadValue as bad:
        label = own.written[bad.key].label if bad.key in own.written else next(iter(element.options.values())).label
        yield problem_of("", label, "", bad)


def _transport(element: Element, found: FileElements) -> Iterator[Problem]:
    if element.protocol == "http":
        yield from _options(element, TRANSPORT, found, found.places[element.protocol, element.kind, element.name])


def _options(element: Element, table: Table, found: FileElements, where: str) -> Iterator[Problem]:
    """Yield what is wrong with the options of an element, each item of a list on its own, or else with the whole."""
    known = {option: written for option, written in element.options.items() if not _lost(option, table)}
    wrong = []
    for option, written in known.items():
        if not option and not table.keys() & {"", "<>"}:
            bad = BadValue("is an empty section, which Traefik refuses", "write its options below it")
            wrong.append(problem_of("", written.label, "", bad))
            continue
        of_items = [
            problem
            for item in found.items.get(written.label, ())
            for problem in _read(element, option, item, table).lost
        ]
        wrong += of_items or _read(element, option, written, table).lost
    yield from wrong
    if not wrong and element.kind in EFFECTS:
        options = read("", "", Element(element.protocol, element.kind, element.name, known), table, secret=True)
        labels = {key: Written(written.label, "") for key, written in options.written.items()}
        try:
            said = {**options.fields, "_name": element.name, "_definition": Definition(element), "_labels": labels}
            EFFECTS[element.kind](Effects(Options("", "")), said)
        except BadValue as bad:
            at = options.written.get(bad.key)
            if at or len(known) == len(element.options):  # else what is missing may be there, and only Traefik does it
                yield problem_of("", *(at or (where, "")), bad)


def _lost(option: str, table: Table) -> bool:
    """Tell whether an option is one that Traefik has, and that is not done here."""
    row, meaning = meaning_of(option, table)
    return isinstance(meaning, Lost) and row in table and table[row] is meaning


def _read(element: Element, option: str, written: Written, table: Table) -> Options:
    if (element.kind, option) == ("basicauth", "users"):  # the table leaves them to what becomes of all options
        table = {option: Taken(hashed_users, secret=True)}
    return read("", "", Element(element.protocol, element.kind, element.name, {option: written}), table, secret=True)


_CHECKS = {"middlewares": _middleware, "services": _service, "options": _tls_options, "serverstransports": _transport}
