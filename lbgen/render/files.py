"""Rendered files, and the generation that names their content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

# What templates print for `generation` before it is known. It can be in no honest value, and a dishonest one
# gains nothing: it is replaced by hexadecimal digits wherever it stands.
PLACEHOLDER = hashlib.sha256(b"lbgen generation").hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Files:
    """The text of every file of one target, by its path relative to the output directory.

    ``generation`` is twelve hexadecimal digits made of the names and texts: equal files, equal generation.
    """

    texts: Mapping[str, str]
    generation: str

    @classmethod
    def of(cls, drafts: Mapping[str, str]) -> Files:
        """Name the drafts' generation and write it in place of the placeholder."""
        digest = hashlib.sha256()
        for name, text in sorted(drafts.items()):
            digest.update(f"{len(name)} {len(text)} {name}{text}".encode())
        generation = digest.hexdigest()[:12]
        return cls({name: text.replace(PLACEHOLDER, generation) for name, text in sorted(drafts.items())}, generation)
