"""Go's string literals, and the signs that could end one, or one of YAML's."""

from __future__ import annotations

import json
import re

SIGNS = [
    *"\"'`\\{}$#:-!(),%a*<|>?@~ \u2028\ufeff\u00e9\U0001f600",
    *("{{", "}}", "&&", "||", "%41", "&x", ": ", "null", "{{ env `HOME` }}"),
]


def unquoted(literal: str) -> str:
    """What Go reads in one of its own strings."""
    if literal.startswith("`"):
        return literal[1:-1]
    # Go's escapes, of which JSON knows all but \x and \U.
    spelled = re.sub(r"\\U([0-9a-f]{8})", lambda found: chr(int(found[1], 16)), literal[1:-1])
    return json.loads(f'"{spelled}"')
