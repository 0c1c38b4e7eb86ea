"""Which labels hold secrets themselves, and what stands for one that was left out. Pure.

`lbgen.base.problem.is_secret` is for messages, and may hide too much: a route that is called "auth", or the name of a
users file. Where labels are recorded that would take away routes, so here only a key's last part counts.
"""

from __future__ import annotations

import re

from lbgen.base.problem import is_secret

# Not printable on purpose: every dialect refuses such a value, so that a guard without its secret is closed.
LEFT_OUT = "\x1asecret left out by lbgen snapshot"
# Last parts of keys that sound like a secret and name something instead: a file, a service, headers, a switch.
_NAMES = frozenset(
    {
        "authrequestheaders",
        "authresponseheaders",
        "basic-auth",
        "forward-auth",
        "forwardauth",
        "users_files",
        "usersfile",
        "userspassencrypted",
        "userssecret",
    }
)
_INDEX = re.compile(r"\.[0-9]+$")  # docker-flow's, of a destination


def holds_secret(label: str, value: str) -> bool:
    """Tell whether a label's value is, or has in it, what nobody else should know."""
    last = _INDEX.sub("", label).rpartition(".")[2]
    return is_secret("" if last.lower() in _NAMES else last, value)
