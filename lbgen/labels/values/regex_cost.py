"""How many ways a backtracking engine may have to try, judged from a regular expression's tree.

PCRE tries them one by one, and the path a stranger sends decides how many there are. The tree becomes its position
automaton: every place where a character is read, and how often each can follow another. Two ways through one loop
over the same text double with every repetition; loops in a row that can hand the same text to each other multiply.
An expression that may be found anywhere begins with a loop over all that stands before it. Bounded repetitions count
as loops, so the answer errs on the side of refusing.

What is left is linear in the length of the text, or quadratic: the steps of a quadratic one are bounded by not asking
it about long texts (`LONGEST_TEXT`).

Source: Weber and Seidl, "On the degree of ambiguity of finite automata" (1991), criteria EDA and IDA.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import product

from lbgen.labels.values.regex_tree import Chars, Choice, End, Node, Repeat, Sequence, Start
from lbgen.labels.values.value_type import BadValue

MAX_WAYS = 256  # outside loops: what optional parts and alternatives that begin alike multiply to
MAX_WAYS_QUADRATIC = 8  # the same, of an expression that is quadratic
MAX_CHAIN = 2  # loops in a row that can read the same text: at worst the square of its length
LONGEST_TEXT = 1024  # characters that a quadratic expression is asked about: half a million steps for each way
_UNROLLED = 16  # a fixed count up to this is written out; a higher one counts as a loop
_BUDGET = 100_000  # steps of this analysis, some tens of milliseconds
_SHARED_BUDGET = 500_000  # of all expressions that are judged together
_shared: ContextVar[list[int] | None] = ContextVar("shared", default=None)


@contextmanager
def together() -> Iterator[None]:
    """Have the expressions that are judged within share one budget: those of one service, so that no number of them
    keeps the others waiting."""
    token = _shared.set([_SHARED_BUDGET])
    try:
        yield
    finally:
        _shared.reset(token)


_ALL = (1 << 129) - 1
_DOT = _ALL ^ 1 << ord("\n")  # texts that are asked about have no line ends
_ANYTHING = Repeat(Chars(_ALL), 0, None)  # what may stand before an expression without ^


@dataclass(slots=True)
class _Piece:
    """A part of the expression, as its neighbours see it; counts are ways to get there."""

    empty: int = 0  # ways to read nothing
    first: dict[int, int] = field(default_factory=dict)  # position -> ways
    last: dict[int, int] = field(default_factory=dict)
    ways: int = 1  # outside loops


def refuse_explosive(root: Node) -> bool:
    """Refuse an expression that some text makes a backtracking engine try for ages; tell whether it is quadratic.

    Raises:
        BadValue: it is one, or it is too intricate to tell within bounded time.
    """
    automaton = _Automaton()
    searched = _less_tail(root)
    whole = searched if _at_start(searched) else Sequence((_ANYTHING, searched))
    ways = automaton.build(whole).ways
    if ways > MAX_WAYS:
        raise BadValue(_TOO_MANY_WAYS, "write fewer, or split the rule with ||")
    for loop in automaton.loops:
        if automaton.is_ambiguous(loop):
            raise BadValue(
                "repeats something that can read the same text in two ways, which takes exponential time",
                "repeat a class such as [a-z-]+ instead of nesting quantifiers or alternatives that overlap",
            )
    if automaton.has_chain(MAX_CHAIN + 1):
        before = "" if whole is searched else ", with whatever stands before it as the first"
        raise BadValue(
            f"has more than {MAX_CHAIN} repetitions in a row that can read the same text{before}",
            "begin it with ^, and write classes that exclude what follows, such as [^/]+ instead of .*",
        )
    quadratic = automaton.has_chain(2)
    if quadratic and ways > MAX_WAYS_QUADRATIC:
        raise BadValue(f"{_TOO_MANY_WAYS} beside repetitions", "write fewer, or begin it with ^")
    return quadratic


_TOO_MANY_WAYS = "has too many optional parts and alternatives that begin alike"


def _at_start(node: Node) -> bool:
    """Tell whether an expression is looked for at the beginning of a text only."""
    match _flat(node):
        case (Start(), *_):
            return True
        case (Repeat(Chars(mask), 0, None), *_):  # PCRE does not look further on for what begins with .*
            return mask == _DOT
        case (Choice(parts), *_):
            return all(map(_at_start, parts))
    return False


def _less_tail(node: Node) -> Node:
    """Return the expression without repetitions at its end that cannot fail: nothing is tried again after them."""
    match _flat(node):
        case (*parts, Repeat(Chars(mask) as part, low, None), End()) if mask in (_DOT, _ALL):
            return Sequence((*parts, *[part] * low))
        case (*parts, Repeat(Chars() as part, low, None)):
            return _less_tail(Sequence((*parts, *[part] * low)))
    return node


def _flat(node: Node) -> tuple[Node, ...]:
    """Return the parts of a sequence, those of the groups in it too."""
    return tuple(each for part in node.parts for each in _flat(part)) if isinstance(node, Sequence) else (node,)


class _Automaton:
    """The position automaton of one expression."""

    def __init__(self) -> None:
        self.masks: list[int] = []
        self.follow: list[dict[int, int]] = []  # position -> {next position: ways}
        self.loops: list[range] = []  # positions of the outermost loops; each can reach all others of its loop
        self._budget = _BUDGET

    def build(self, node: Node) -> _Piece:
        """Add the node's positions."""
        match node:
            case Chars(mask):
                self._spend(1)
                self.masks.append(mask)
                self.follow.append({})
                at = len(self.masks) - 1
                return _Piece(0, {at: 1}, {at: 1})
            case Start() | End():
                return _Piece(1)
            case Sequence(parts):
                return self._sequence(self.build(part) for part in parts)
            case Choice(parts):
                return self._choice([self.build(part) for part in parts])
            case Repeat(part, low, high):
                return self._repeat(part, low, high)

    def _sequence(self, pieces: Iterable[_Piece]) -> _Piece:
        whole = _Piece(1)
        for piece in pieces:
            self._link(whole.last, piece.first)
            whole = _Piece(
                min(whole.empty * piece.empty, 2),
                _plus(whole.first, piece.first, whole.empty),
                _plus(piece.last, whole.last, piece.empty),
                min(whole.ways * piece.ways, MAX_WAYS + 1),
            )
        return whole

    def _choice(self, pieces: list[_Piece]) -> _Piece:
        whole = _Piece()
        for piece in pieces:
            whole.empty = min(whole.empty + piece.empty, 2)
            whole.first = _plus(whole.first, piece.first)
            whole.last = _plus(whole.last, piece.last)
        self._spend(len(pieces) ** 2)
        begin = [-1 if piece.empty else self._mask(piece.first) for piece in pieces]
        alike = [
            piece.ways
            for at, piece in enumerate(pieces)
            if any(begin[at] & other for index, other in enumerate(begin) if index != at)
        ]
        whole.ways = min(max(sum(alike), *(piece.ways for piece in pieces)), MAX_WAYS + 1)
        return whole

    def _repeat(self, part: Node, low: int, high: int | None) -> _Piece:
        if high == 0:
            return _Piece(1)
        start = len(self.masks)
        inner = self.build(part)
        if high == 1:
            return inner if low else _Piece(min(inner.empty + 1, 2), inner.first, inner.last, inner.ways + 1)
        if inner.empty:
            # Engines differ in what an iteration over nothing does, and nested ones of them explode.
            raise BadValue("repeats something that can be empty", "make the repeated part at least one character long")
        if low == high and low <= _UNROLLED:
            return self._sequence([inner, *(self.build(part) for _ in range(low - 1))])
        self._link(inner.last, inner.first)
        loop = range(start, len(self.masks))
        self.loops = [*(each for each in self.loops if each.start < start), loop]
        return _Piece(int(low == 0), inner.first, inner.last, inner.ways)

    def _link(self, last: dict[int, int], first: dict[int, int]) -> None:
        self._spend(len(last) * len(first) + len(last) + len(first))
        for (here, ways), (there, more) in product(last.items(), first.items()):
            self.follow[here][there] = min(self.follow[here].get(there, 0) + ways * more, 2)

    def is_ambiguous(self, loop: range) -> bool:
        """Tell whether some text leads from a position back to it in two ways."""
        if any(ways > 1 and there in loop for here in loop for there, ways in self.follow[here].items()):
            return True
        # Two walkers read the same text: can they part after having been together, and meet again?
        queue = [(here, here) for here in loop]
        seen = set(queue)
        for state in queue:
            for left, right in self._steps(state, (loop, loop)):
                if left == right and state[0] != state[1]:
                    return True
                if (left, right) not in seen:
                    seen.add((left, right))
                    queue.append((left, right))
        return False

    def has_chain(self, length: int) -> bool:
        """Tell whether so many loops in a row can hand the same text from one to the next."""
        longest: list[int] = []
        for at, loop in enumerate(self.loops if len(self.loops) >= length else ()):
            earlier = (longest[index] for index in range(at) if self._exchange(self.loops[index], loop))
            longest.append(1 + max(earlier, default=0))
            if longest[-1] >= length:
                return True
        return False

    def _exchange(self, left: range, right: range) -> bool:
        """Tell whether some text can stay in one loop, lead to the other, and stay there."""
        return any(self._exchanges(here, there, left, right) for here, there in product(left, right))

    def _exchanges(self, here: int, there: int, left: range, right: range) -> bool:
        where = (left, range(left.start, right.stop), right)
        seen: set[tuple[int, ...]] = {(here, here, there)}
        queue = list(seen)
        for state in queue:
            for following in self._steps(state, where):
                if following == (here, there, there):
                    return True
                if following not in seen:
                    seen.add(following)
                    queue.append(following)
        return False

    def _steps(self, state: tuple[int, ...], where: tuple[range, ...]) -> Iterator[tuple[int, ...]]:
        """Yield where walkers at these positions can be after they all read the same character."""
        options = [
            [there for there in self.follow[here] if there in allowed]
            for here, allowed in zip(state, where, strict=True)
        ]
        for following in product(*options):
            self._spend(1)
            common = -1
            for there in following:
                common &= self.masks[there]
            if common:
                yield following

    def _mask(self, positions: Iterable[int]) -> int:
        mask = 0
        for here in positions:
            mask |= self.masks[here]
        return mask

    def _spend(self, steps: int) -> None:
        self._budget -= steps
        if self._budget < 0:
            raise BadValue("is too intricate to prove harmless", "write it shorter, or split the rule with ||")
        if (shared := _shared.get()) is not None:
            shared[0] -= steps
            if shared[0] < 0:
                raise BadValue("stands beside too many intricate expressions", "write fewer, or split the service")


def _plus(ways: dict[int, int], more: dict[int, int], times: int = 1) -> dict[int, int]:
    """Add up the ways, ``more`` of them so many times each."""
    total = dict(ways)
    for here, count in more.items() if times else ():
        total[here] = min(total.get(here, 0) + count * times, 2)
    return total
