"""What a hub hands out to one edge: settings and templates, in a form that can be signed. Pure.

The signature covers everything: for which edge it is, which number it has in the order of all that this edge was ever
handed, and the content. So nobody on the way can change it, give it to another edge, or bring an old one back.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lbgen.base import documents, json_text
from lbgen.base.errors import LbgenError

FORMAT = 1
MOST_FILES, LARGEST_FILE, LARGEST = 200, 256 << 10, 1 << 20  # files, bytes of one, bytes of everything
LARGEST_PAYLOAD = 8 << 20  # characters: JSON writes some characters as six
PURPOSE = b"lbgen fleet settings, format 1\n"  # signed as well: the key signs other things too
PROXIES = ("haproxy", "nginx", "traefik", "other")
MANIFEST, MANIFEST_KEYS = "set.yml", ("files", "options")  # and never what is run, or how the proxy is applied to
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}", re.ASCII)
_DEEPEST, _DEEPEST_SETTING = 8, 16  # directories in one another; sections and lists in one another
_FIELDS = {"format": int, "edge": str, "sequence": int, "settings": dict, "templates": dict}


class HandoutRefused(LbgenError):
    """What a hub hands out cannot be used. The edge goes on with what it has."""


class Replayed(HandoutRefused):
    """What a hub hands out is not newer than what this edge was handed before."""


class ContentRefused(HandoutRefused):
    """What a hub has really signed for this edge cannot be used. The hub is told which version that is."""

    def __init__(self, why: str, handout: Handout) -> None:
        super().__init__(why)
        self.handout = handout


@dataclass(frozen=True, slots=True)
class Bundle:
    """Settings and templates, for any edge. An empty one leaves an edge with its own file alone."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    templates: Mapping[str, str] = field(default_factory=dict)  # text by path: PROXY/NAME.j2, PROXY/set.yml

    @property
    def version(self) -> str:
        """The content's name: equal content has the same one at every hub; that of an empty one is empty."""
        if self.empty:
            return ""
        return hashlib.sha256(_canonical({"settings": self.settings, "templates": self.templates})).hexdigest()[:16]

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it."""
        return not self.settings and not self.templates

    def check(self) -> None:
        """Check paths, sizes and manifests.

        Raises:
            HandoutRefused: names the file, and what is wrong with it.
        """
        if len(self.templates) > MOST_FILES:
            raise HandoutRefused(f"{len(self.templates)} templates are more than {MOST_FILES}")
        if not _is_shallow(self.settings, _DEEPEST_SETTING):
            raise HandoutRefused(f"settings are nested deeper than {_DEEPEST_SETTING}, or have a number without end")
        size = len(_canonical(self.settings)) + sum(len(text.encode()) for text in self.templates.values())
        if size > LARGEST:
            raise HandoutRefused(f"settings and templates have {size} bytes, more than {LARGEST >> 20} MiB")
        for path, text in self.templates.items():
            _check_path(path, self.templates)
            if len(text.encode()) > LARGEST_FILE:
                raise HandoutRefused(f"{path}: larger than {LARGEST_FILE >> 10} KiB")
            if path.rpartition("/")[2] == MANIFEST:
                _check_manifest(path, text)


@dataclass(frozen=True, slots=True)
class Handout:
    """A bundle for one edge."""

    edge: str
    sequence: int  # larger than that of everything that this edge was handed before
    bundle: Bundle

    def signed(self, sign: Callable[[bytes], bytes]) -> dict[str, Any]:
        """Return the message that carries it: ``{"payload": text, "signature": base64}``.

        Args:
            sign: by the key of the fleet's authority.
        """
        content = {"settings": self.bundle.settings, "templates": self.bundle.templates}
        payload = _canonical({"format": FORMAT, "edge": self.edge, "sequence": self.sequence, **content})
        return {"payload": payload.decode(), "signature": base64.b64encode(sign(PURPOSE + payload)).decode()}


def opened(message: Mapping[str, Any], edge: str, after: int, signed: Callable[[bytes, bytes], bool]) -> Handout:
    """Return what a message hands out, if it is signed, whole, for this edge, and newer than all before.

    Args:
        after: the sequence number of what this edge was handed last.
        signed: tells whether an authority that the edge trusts has made a signature for a text.
    Raises:
        HandoutRefused: says what is wrong; nothing of the content was looked at where the signature is.
    """
    payload = _verified(message, signed)
    try:
        content = json_text.data_in(payload)
    except ValueError as error:
        raise HandoutRefused(f"what the hub hands out is not JSON: {error}") from error
    if isinstance(content, dict) and content.get("format", FORMAT) != FORMAT:
        raise HandoutRefused("the hub hands out settings in a format that this lbgen does not know: update lbgen here")
    if not _has_form(content):
        raise HandoutRefused(f"what the hub hands out has not the fields {', '.join(_FIELDS)}")
    if content["edge"] != edge:
        raise HandoutRefused(f"the hub's settings are for edge {content['edge'][:100]!r}, this one is {edge!r}")
    if content["sequence"] <= after:
        raise Replayed(f"the hub's settings have number {content['sequence']}, which is not newer than {after}")
    bundle = Bundle(content["settings"], content["templates"])
    try:
        bundle.check()
    except HandoutRefused as error:
        raise ContentRefused(str(error), Handout(edge, content["sequence"], bundle)) from error
    return Handout(edge, content["sequence"], bundle)


def _verified(message: Mapping[str, Any], signed: Callable[[bytes, bytes], bool]) -> bytes:
    payload, signature = message.get("payload"), message.get("signature")
    if not isinstance(payload, str) or not isinstance(signature, str):
        raise HandoutRefused("what the hub hands out is not signed")
    if len(payload) > LARGEST_PAYLOAD:
        raise HandoutRefused(f"what the hub hands out is larger than {LARGEST_PAYLOAD >> 20} MiB")
    try:
        content, proof = payload.encode(), base64.b64decode(signature, validate=True)
    except ValueError as error:
        raise HandoutRefused("what the hub hands out has a signature that cannot be read") from error
    if not signed(PURPOSE + content, proof):
        raise HandoutRefused("what the hub hands out is signed by no authority that this edge trusts: it is not used")
    return content


def _has_form(content: object) -> bool:
    return (
        isinstance(content, dict)
        and content.keys() == _FIELDS.keys()
        and all(type(content[name]) is kind for name, kind in _FIELDS.items())
        and all(type(text) is str for text in content["templates"].values())
    )


def _check_path(path: str, others: Mapping[str, str]) -> None:
    """Refuse a path that could lie elsewhere than in the directory of the templates, or be no template."""
    parts = path.split("/")
    if len(parts) > _DEEPEST or not all(_PART.fullmatch(part) for part in parts):
        raise HandoutRefused(f"{path[:200]!r} is not a path of plain names below the directory of templates")
    if len(parts) < 2 or parts[0] not in PROXIES:
        raise HandoutRefused(f"{path}: templates are in a directory named after their proxy: {', '.join(PROXIES)}")
    if not (parts[-1].endswith(".j2") or parts[1:] == [MANIFEST]):
        raise HandoutRefused(f"{path}: is neither a template (NAME.j2) nor the set's {MANIFEST}")
    if above := next((each for each in ("/".join(parts[:end]) for end in range(1, len(parts))) if each in others), ""):
        raise HandoutRefused(f"{path}: {above} is a file, and cannot be a directory too")


def _check_manifest(path: str, text: str) -> None:
    """A manifest names programs that are run: what is handed out may only add files and options."""
    content = documents.parse(text, path, HandoutRefused) if text.strip() else {}
    if not isinstance(content, dict | None):
        raise HandoutRefused(f"{path}: expected a mapping")
    if forbidden := sorted(str(key) for key in content or {} if key not in MANIFEST_KEYS):
        raise HandoutRefused(
            f"{path}: a hub never sets {', '.join(forbidden)}: only {', '.join(MANIFEST_KEYS)} are handed out"
        )


def _is_shallow(value: object, deepest: int) -> bool:
    """Tell whether a value can be written, and be walked through, without end of the stack."""
    if isinstance(value, float):
        return math.isfinite(value)
    if not isinstance(value, Mapping | list):
        return True
    inner = value.values() if isinstance(value, Mapping) else value
    return deepest > 0 and all(_is_shallow(each, deepest - 1) for each in inner)


def _canonical(content: object) -> bytes:
    """Return the one text of the content: keys in order, no spaces, ASCII."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
