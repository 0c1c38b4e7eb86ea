"""What a wrong password costs a proxy that compares passwords where every other request waits. Pure.

HAProxy and Nginx ask crypt() in their event loops. bcrypt of cost 8 takes 15 ms of processor, as SHA-crypt of 25,000
rounds does; cost 10 and 100,000 rounds take 60 ms, and each further step of bcrypt's twice as long. 30,000,000 rounds
end HAProxy by its watchdog. Traefik compares beside its other requests, and remembers the answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

WAITING = frozenset({"haproxy", "nginx"})  # proxies (`proxy` in set.yml) whose requests wait for a password
REMEDY = "make the password's hash anew with `htpasswd -B -C 8`"
_BCRYPT = re.compile(r"\$2[aby]\$([0-9]{2})\$")
_SHA_CRYPT = re.compile(r"\$[56]\$(?:rounds=([0-9]+)\$)?")
_USUAL_ROUNDS = 5000  # crypt(5)


class Level(Enum):
    """What comes of a cost."""

    CHEAP = 0
    TOLD = 1  # told, and taken
    REFUSED = 2  # the proxies do not let the user in


@dataclass(frozen=True, slots=True)
class Cost:
    """What it costs to compare a password with a hash."""

    level: Level
    text: str  # for people: "bcrypt of cost 12"


def cost_of(hashed: str) -> Cost:
    """Return the cost of a hash; one of another kind than lbgen knows is refused."""
    if bcrypt := _BCRYPT.match(hashed):
        return Cost(_level(int(bcrypt[1]), 8, 10), f"bcrypt of cost {int(bcrypt[1])}")
    if sha := _SHA_CRYPT.match(hashed):
        rounds = int((sha[1] or "")[:12] or _USUAL_ROUNDS)
        return Cost(_level(rounds, 25_000, 100_000), f"SHA-crypt of {rounds} rounds")
    return Cost(Level.REFUSED, "a hash of an unknown kind")


def _level(number: int, told: int, refused: int) -> Level:
    return Level.REFUSED if number > refused else Level.TOLD if number > told else Level.CHEAP
