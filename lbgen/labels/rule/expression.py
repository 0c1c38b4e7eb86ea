"""Boolean expressions of matchers, such as ``Host(`a.org`) && !(Path(`/a`) || Path(`/b`))``, read as a match.

The one parser of everything that is written in Traefik's syntax. Which matchers there are is the language's business;
|| binds less than &&, && less than !.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lbgen.labels.match import All, AnyOf, Match, Not
from lbgen.labels.rule.lexer import Token, bad, tokens
from lbgen.labels.values.basic import MAX_VALUE
from lbgen.labels.values.value_type import BadValue

MAX_DEPTH = 32  # parentheses and negations


@dataclass(frozen=True, slots=True)
class Matcher:
    """What may be asked: ``Name(`argument`, ...)``."""

    counts: Sequence[int]  # of arguments
    read: Callable[..., Match]  # its arguments -> what it means; BadValue without a place
    may_be_empty: bool = False  # an argument


@dataclass(frozen=True, slots=True)
class Language:
    """The matchers that there are, and what messages say of them."""

    name: str  # "http rules"
    matchers: Mapping[str, Matcher]  # by each of its spellings
    example: str
    instead: Callable[[str], str]  # what to write in place of an unknown matcher


def parse(text: str, language: Language, longest: int = MAX_VALUE) -> Match:
    """Read an expression.

    Raises:
        BadValue: the message begins with the place, "at character 14: ", unless the text is too long as a whole.
    """
    if len(text) > longest:
        raise BadValue(f"is {len(text)} characters long", f"keep it below {longest} characters")
    return _Parser(list(tokens(text)), language).whole()


@dataclass(slots=True)
class _Parser:
    """Reads one expression from left to right."""

    tokens: list[Token]
    language: Language
    index: int = 0
    depth: int = 0

    def whole(self) -> Match:
        match = self._any()
        if self._next.kind != "end":
            raise self._expected("&&, || or the end")
        return match

    @property
    def _next(self) -> Token:
        return self.tokens[self.index]

    def _takes(self, operator: str) -> bool:
        """Step over the operator if it is the next word."""
        taken = self._next.kind == "operator" and self._next.text == operator
        self.index += taken
        return taken

    def _any(self) -> Match:
        return self._join("||", AnyOf, lambda: self._join("&&", All, self._one))

    def _join(self, operator: str, join: type[All | AnyOf], term: Callable[[], Match]) -> Match:
        terms = [term()]
        while self._takes(operator):
            terms.append(term())
        return join(tuple(terms)) if len(terms) > 1 else terms[0]

    def _one(self) -> Match:
        token = self._next
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise bad(token.at, f"parentheses and negations are nested more than {MAX_DEPTH} deep", "write it flatter")
        if self._takes("!"):
            match: Match = Not(self._one())
        elif self._takes("("):
            match = self._any()
            if not self._takes(")"):
                raise self._expected(f"&&, || or the ) for the ( at character {token.at}")
        elif token.kind == "name":
            self.index += 1
            match = self._matcher(token)
        else:
            raise self._expected("a matcher, ! or (")
        self.depth -= 1
        return match

    def _matcher(self, name: Token) -> Match:
        matcher = self.language.matchers.get(name.text)
        if matcher is None:
            instead = self.language.instead(name.text)
            raise bad(name.at, f"{name} is not a matcher of {self.language.name}", instead)
        arguments = self._arguments(name)
        if len(arguments) not in matcher.counts:
            remedy = f"write {name} once for each value, with || between them"
            raise bad(name.at, f"{name} takes {_counted(matcher.counts)}, not {len(arguments)}", remedy)
        for argument in arguments:
            if not argument.text and not matcher.may_be_empty:
                raise bad(argument.at, f"{name} has an empty argument", "give it a value")
        try:
            return matcher.read(*(argument.text for argument in arguments))
        except BadValue as problem:
            raise bad(arguments[-1].at, f"{name}({', '.join(map(str, arguments))}) {problem}", problem.remedy) from None

    def _arguments(self, name: Token) -> list[Token]:
        if not self._takes("("):
            raise self._expected(f"( after {name}")
        arguments: list[Token] = []
        while not self._takes(")"):
            if self._next.kind != "string":
                raise self._expected("a string in backquotes" + ("" if arguments else " or )"))
            arguments.append(self._next)
            self.index += 1
            if not self._takes(",") and not (self._next.kind == "operator" and self._next.text == ")"):
                raise self._expected(", or )")
        return arguments

    def _expected(self, what: str) -> BadValue:
        return bad(self._next.at, f"expected {what}, found {self._next}", f"write it as in {self.language.example}")


def _counted(counts: Sequence[int]) -> str:
    """Say how many arguments there may be."""
    if isinstance(counts, range):
        return "names and values by turns" if counts.step > 1 else "one argument or several"
    return " or ".join(map(str, counts)) + (" argument" if counts == (1,) else " arguments")
