"""Reads rendered configurations back, and tells whether any value has left its place.

Each reader knows its proxy's grammar and nothing of lbgen: lines of words for HAProxy, a tree of directives for Nginx,
a YAML document for Traefik, in whose rules are words of Go's. What may stand in a file is what stands in that of the
harmless twin: the same model, in whose texts every sign that may be syntax to somebody has become a letter of its own.
So a file is sound if it has the twin's sections, directives and words, each with the very text that became harmless.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import yaml

from lbgen.labels.match import Test
from lbgen.labels.values.regex import longest_text
from lbgen.model import Backend, Cell, HealthCheck, Model, Redirect
from lbgen.model.policy import Policy
from lbgen.proxies.traefik.apply import DYNAMIC
from lbgen.render.renderer import Files

# ------------------------------------------------------------------------------------------------ the harmless twin

_KEPT = "/-._"  # they are no syntax, and lbgen looks at them
_LETTERS = {code: 0x100 + code for code in range(127) if not chr(code).isalnum() and chr(code) not in _KEPT}
_SIGNS = {letter: code for code, letter in _LETTERS.items()}
_TEXTS: Mapping[type, tuple[str, ...]] = {
    Test: ("value",),
    Cell: ("path",),
    HealthCheck: ("path",),
    Policy: ("strip_prefixes", "replace_path", "add_prefix", "request_headers", "response_headers"),
    Redirect: ("parts",),
}
# Tests of values that are not free text: names of hosts, methods, networks.
_BOUNDED = ("host", "sni", "method", "client_ip")


def harmless(found: Any) -> Any:
    """Return the model, or a part of it, with letters in place of signs."""
    if isinstance(found, tuple):
        return tuple(map(harmless, found))
    if not dataclasses.is_dataclass(found) or (isinstance(found, Test) and found.kind in _BOUNDED):
        return found
    texts = _TEXTS.get(type(found), ())
    changed = {
        item.name: _lettered(getattr(found, item.name)) if item.name in texts else harmless(getattr(found, item.name))
        for item in dataclasses.fields(found)
    }
    if isinstance(found, Test) and found.is_regex:
        return _Twin(**changed)
    if isinstance(found, Cell):
        return _TwinCell(**changed)
    return dataclasses.replace(found, **changed)  # type: ignore[type-var]


class _Twin(Test):
    """A test whose expression has become letters; it is asked about the same texts."""

    __slots__ = ()

    @property
    def longest(self) -> int | None:
        """Of the original."""
        return longest_text(_original(self.value))


class _TwinCell(Cell):
    """A cell whose path has become letters; it is found in the same way."""

    __slots__ = ()

    @property
    def escaped(self) -> bool:
        """Of the original."""
        return "%" in _original(self.path)


def _lettered(found: Any) -> Any:
    return found.translate(_LETTERS) if isinstance(found, str) else tuple(map(_lettered, found))


def _original(text: str) -> str:
    """Return the text that has become this one."""
    return text.translate(_SIGNS)


class Escape(AssertionError):
    """A value has left its place, or the file is none."""


def compare(files: Files, twins: Files, model: Model) -> None:
    """Compare what was rendered for a model with what was rendered for its twin.

    Raises:
        Escape: they differ; the message shows where.
    """
    for name, text in files.texts.items():
        grammar = _grammar(name)
        parsed = grammar.read(text.replace(files.generation, ""))
        found = list(grammar.parts(parsed))
        twin = list(grammar.parts(grammar.read(twins.texts[name].replace(twins.generation, ""))))
        for here, there in zip(found, twin, strict=False):
            if here != there:
                raise Escape(f"{name}: {here!r}\nwhere the harmless twin has {there!r}")
        if len(found) != len(twin):
            raise Escape(f"{name}: {len(found)} parts, and the harmless twin has {len(twin)}")
        for what, number, expected in grammar.counts(parsed, model):
            if number != expected:
                raise Escape(f"{name}: {number} {what}, and the model has {expected}")


Count = tuple[str, int, int]  # what, how many there are, how many the model has


@dataclasses.dataclass(frozen=True)
class Grammar:
    """How a file is read, and what of it is compared."""

    read: Callable[[str], Any]
    parts: Callable[[Any], Iterable[object]]  # each in a form that is equal for a value and for its twin
    counts: Callable[[Any, Model], Iterable[Count]] = lambda *_: ()


def _grammar(name: str) -> Grammar:
    if name.endswith((".yml", ".yaml")):
        return Grammar(document, _yaml_parts, _in_traefik if name == DYNAMIC else Grammar.counts)
    if name == "nginx.conf":
        return Grammar(nginx, _nginx_parts, _in_nginx)
    if name == "haproxy.cfg":
        return Grammar(haproxy, _haproxy_parts, _in_haproxy)
    return Grammar(map_lines, _map_parts)


# ------------------------------------------------------------------------------------------------ HAProxy's maps


def map_lines(text: str) -> list[list[str]]:
    """Return the words of each line that is not a comment.

    Source: src/pattern.c, pat_read_from_file_smp().
    """
    return [line.split() for line in text.split("\n") if line.strip() and line.lstrip()[0] != "#"]


def _map_parts(lines: list[list[str]]) -> Iterator[object]:
    yield from (tuple(map(_original, words)) for words in lines)


# ------------------------------------------------------------------------------------------------ HAProxy

_HAPROXY_SIGNS = re.compile(r"[\\'\"#]")
_HAPROXY_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_OWN_PEER = 'server "$HAPROXY_LOCALPEER"'  # of section peers: the only variable that the set reads
_FORMATS = ("set-header", "set-path", "redirect", "return", "replace-path")  # their words are log formats


def haproxy(text: str) -> list[list[str]]:
    """Return each line's words.

    Source: HAProxy configuration manual, section 2.2; src/tools.c, parse_line().
    """
    lines = [_haproxy_words(line) for line in text.split("\n")]
    return [words for words in lines if words]


def _haproxy_words(line: str) -> list[str]:
    if not _HAPROXY_SIGNS.search(line):
        return [word for word in re.split(r"[ \t]+", line) if word]
    words: list[str] = []
    word: str | None = None
    quote, at = "", 0
    while at < len(line):
        char = line[at]
        at += 1
        if quote:
            if char == quote:
                quote = ""
            elif char == "\\" and quote == '"' and line[at : at + 1] in ("\\", '"', "$", "'", "#", " "):
                word, at = (word or "") + line[at], at + 1
            elif char == "$" and quote == '"' and line.strip() != _OWN_PEER:
                raise Escape(f"an environment variable: {line}")
            else:
                word = (word or "") + char
        elif char in "'\"":
            quote, word = char, word or ""
        elif char == "#":
            break
        elif char in " \t":
            if word is not None:
                words.append(word)
            word = None
        elif char == "\\":
            escaped = line[at : at + 1]
            if not escaped:
                raise Escape(f"a backslash at the end of a line: {line}")
            word, at = (word or "") + _HAPROXY_ESCAPES.get(escaped, escaped), at + 1
        else:
            word = (word or "") + char
    if quote:
        raise Escape(f"a quote that is not closed: {line}")
    return words if word is None else [*words, word]


def _haproxy_parts(lines: list[list[str]]) -> Iterator[object]:
    yield from map(_haproxy_part, lines)


def _haproxy_part(words: list[str]) -> tuple[str, ...]:
    formats = len(words) > 1 and words[0].startswith("http-") and words[1] in _FORMATS
    parts = []
    for at, word in enumerate(words):
        # A value that is just "}" would end a condition: it is written as an expression.
        if words[at - 2 : at + 1] == ["reg", "--", "^[}]$"]:
            parts[-2:] = ["str", "--"]
            word = "\u017d"
        elif word == "}" and words[at - 1 : at] == ["--"]:
            raise Escape(f"a condition without a value: {words}")
        parts.append(_literal_format(word) if formats else _original(word))
    return tuple(parts)


def _literal_format(word: str) -> str:
    """Return a log format with what HAProxy fills in marked, and the rest as it is read."""
    pieces = re.split(r"%%", word)
    return "%".join(_original(piece.replace("%", "\0")) for piece in pieces)


# ------------------------------------------------------------------------------------------------ Nginx

Directive = tuple[tuple[str, ...], "list[Directive] | None"]


def nginx(text: str) -> list[Directive]:
    """Return the directives, each with its words and, if it is a block, what is in it.

    Source: src/core/ngx_conf_file.c, ngx_conf_read_token().
    """
    stack: list[list[Directive]] = [[]]
    words: list[str] = []
    for kind, word in _nginx_tokens(text):
        if kind == "word":
            words.append(word)
        elif kind == "}":
            if words or len(stack) == 1:
                raise Escape(f"unexpected }} after {words}")
            stack.pop()
        else:
            if not words:
                raise Escape(f"unexpected {kind}")
            block: list[Directive] | None = [] if kind == "{" else None
            stack[-1].append((tuple(words), block))
            if block is not None:
                stack.append(block)
            words = []
    if words or len(stack) > 1:
        raise Escape("unexpected end of file")
    return stack[0]


def _nginx_tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while (at := _end(_BLANK, text, at)) < len(text):
        char = text[at]
        if char in ";{}":
            yield char, ""
            at += 1
        else:
            end = _quoted_end(text, at) if char in "\"'" else _end(_BARE, text, at)
            inner = text[at + 1 : end - 1] if char in "\"'" else text[at:end]
            if "\\" in inner:
                inner = re.sub(r"\\([\"'\\trn])", lambda found: _NGINX_ESCAPES.get(found[1], found[1]), inner)
            yield "word", inner
            at = end


_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")  # and comments
_BARE = re.compile(r"(?:[^ \t\r\n;{\\$]+|\\.?|\$\{?)*", re.DOTALL)  # a brace after a dollar is part of the word
_QUOTED = {quote: re.compile(rf"{quote}(?:[^{quote}\\]|\\.)*+{quote}", re.DOTALL) for quote in "\"'"}
_NGINX_ESCAPES = {"t": "\t", "r": "\r", "n": "\n"}


def _quoted_end(text: str, at: int) -> int:
    end = _end(_QUOTED[text[at]], text, at)
    if end == at:
        raise Escape(f"a quote that is not closed: {text[at : at + 80]}")
    if text[end : end + 1] not in (*" \t\r\n;{)", ""):
        raise Escape(f"something after a closing quote: {text[at : end + 40]}")
    return end


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


_LITERAL = ("location", "server_name", "geo", "ssl_certificate", "ssl_certificate_key", "ssl_client_certificate")
_ENCODED = re.compile(r"\(\\?.\|%\(\?i:([0-9a-f]{2})\)\)|%\(\?i:([0-9a-f]{2})\)")


def _nginx_parts(directives: list[Directive], inside: str = "") -> Iterator[object]:
    for words, block in _locations_by_name(directives):
        yield inside, len(words), block is not None
        for at, word in enumerate(words):
            # The keys of maps and the paths of locations are what they are; elsewhere $ begins a variable.
            literal = words[0] in _LITERAL or (inside in ("map", "geo") and at == 0)
            variables = () if literal else tuple(re.findall(r"\$(?!\{lbgen_dollar\})\{?[a-z0-9_]*", word))
            yield variables, _plain(word)
        if block is not None:
            yield from _nginx_parts(block, words[0])
            yield "}"


def _locations_by_name(directives: list[Directive]) -> Iterator[Directive]:
    """Yield the directives, the locations among them in one order: the twin's other signs put them in another one."""
    locations = iter(sorted((each for each in directives if each[0][0] == "location"), key=_plain_words))
    for each in directives:
        yield next(locations) if each[0][0] == "location" else each


def _plain_words(directive: Directive) -> list[str]:
    return [_plain(word) for word in directive[0]]


def _plain(word: str) -> str:
    """Return the text in a word, without what only keeps it from being an expression or a variable."""
    if "(?i:" in word:
        word = re.sub(r"(?:%\(\?i:[0-9a-f]{2}\)|\(\\?.\|%\(\?i:[0-9a-f]{2}\)\))+", _decoded, word)
    word = _original(word.replace("${lbgen_dollar}", "$"))
    if "[" in word:
        word = re.sub(r"\[([A-F])[a-f]\]", r"\1", word)  # an escape in either case
    return word.replace("\\Q", "").replace("\\E", "").replace("\\", "")


def _decoded(found: re.Match[str]) -> str:
    return bytes(int(one or other, 16) for one, other in _ENCODED.findall(found[0])).decode()


# ------------------------------------------------------------------------------------------------ Traefik


class _Loader(yaml.CSafeLoader):
    """Refuses a key that is there twice, which YAML's own loader takes without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        if len(keys) > len({*keys}):
            raise Escape(f"a key that is there twice: {keys}")
        return super().construct_mapping(node, deep)


_WORD = re.compile(r"""\s*(?:(`[^`]*`|"(?:[^"\\\n]|\\.)*")|([A-Za-z]+|&&|\|\||[!(),]))""")
_GO_ESCAPE = re.compile(r'\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(["\\]))')


def document(text: str) -> Any:
    """Return the document, if Go would leave it alone and YAML has one meaning for it."""
    if "{{" in text:
        raise Escape("a template of Go's: " + text[text.index("{{") :][:80])
    try:
        for event in yaml.parse(text, yaml.CSafeLoader):
            if getattr(event, "anchor", None) or getattr(event, "tag", None):
                raise Escape(f"an anchor, alias or tag: {event}")
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise Escape(f"no YAML: {error}") from error


def _yaml_parts(found: object, where: tuple[object, ...] = ()) -> Iterator[object]:
    if isinstance(found, dict):
        yield where, len(found)
        for key, value in found.items():
            yield from _yaml_parts(value, (*where, key))
    elif isinstance(found, list):
        yield where, len(found)
        for value in found:
            yield from _yaml_parts(value, (*where, "-"))
    elif isinstance(found, str) and where[-1] == "rule":
        yield where, tuple(rule_words(found))
    elif isinstance(found, str):
        # Expressions have backslashes before signs; paths are decoded; $$ is a dollar where $1 is a group.
        yield where, unquote(_original(found)).replace("\\", "").replace("$$", "$")
    else:
        yield where, type(found), found


def rule_words(rule: str) -> Iterator[tuple[str, str]]:
    """Yield the words of a rule, (sign, "") or ("text", what it means)."""
    at = 0
    while at < len(rule):
        found = _WORD.match(rule, at)
        if not found:
            raise Escape(f"no rule: {rule[at : at + 80]}")
        literal, sign = found.groups()
        if sign:
            yield sign, ""
        elif literal[0] == "`":
            yield "text", unquote(_original(literal[1:-1]), errors="surrogateescape")
        else:
            yield "text", unquote(_original(_unescaped(literal[1:-1])), errors="surrogateescape")
        at = found.end()


def _unescaped(inner: str) -> str:
    # \x is a byte of UTF-8: written as unquote writes it, both become the same.
    def meant(found: re.Match[str]) -> str:
        byte, short, long, plain = found.groups()
        return f"%{byte}" if byte else plain or chr(int(short or long, 16))

    return _GO_ESCAPE.sub(meant, inner)


# ------------------------------------------------------------------------------------------------ numbers


def _in_haproxy(lines: list[list[str]], model: Model) -> Iterator[Count]:
    firsts = [words[0] for words in lines]
    streams = [item for item in model.backends if item.protocol != "udp"]
    yield "frontends", firsts.count("frontend"), sum(item.protocol != "udp" for item in model.listeners)
    tables = sum(words[0] == "backend" and words[1].endswith((":wrong", ":right")) for words in lines)
    yield "backends", firsts.count("backend") - tables, len(streams)
    peers = firsts.count("peers")  # has one server: this very HAProxy
    yield "servers", firsts.count("server") - peers, sum(len(item.servers) for item in streams if not item.redirect)


def _in_nginx(directives: list[Directive], model: Model) -> Iterator[Count]:
    blocks = {words[0]: block or [] for words, block in directives}
    upstreams = [item for part in ("http", "stream") for item in blocks.get(part, []) if item[0][0] == "upstream"]
    wanted = [item for item in model.backends if item.protocol != "http" or (_active(item) and not item.redirect)]
    yield "upstreams", len(upstreams), len(wanted)
    sites = [words for words, _ in blocks["stream"] if words[0] == "server"]
    yield "servers of streams", len(sites), sum(item.protocol != "http" for item in model.listeners)


def _active(backend: Backend) -> bool:
    return any(server.state == "up" and server.weight for server in backend.servers)


def _in_traefik(found: Any, model: Model) -> Iterator[Count]:
    for protocol, more in (("http", 0), ("tcp", 1), ("udp", 0)):  # TCP has one of lbgen's own, which refuses
        services = found.get(protocol, {}).get("services", {})
        parts = {part["name"] for item in services.values() for part in item.get("weighted", {}).get("services", ())}
        wanted = sum(item.protocol == protocol for item in model.backends) + more
        yield f"{protocol} services", len({*services} - parts), wanted
        asked = {router["service"] for router in found.get(protocol, {}).get("routers", {}).values()}
        if missing := (asked | parts) - {*services, "noop@internal"}:
            raise Escape(f"no service {missing}")
