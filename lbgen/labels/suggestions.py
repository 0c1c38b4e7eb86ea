"""What was probably meant by a word that a place does not know: another spelling, or another program's word for it.

The one place that compares words: label keys, options of foreign labels, kinds of middlewares, matchers of rules.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

LIKE = 0.6  # of two words, from 0 to 1: difflib's own, at which "port" and "prot" are alike
_LIKE_AS_A_WHOLE = 0.8  # of two options with more words in one than in the other
_LONGEST = 100  # characters of a word that is compared
_BETWEEN = re.compile(r"[-_.]")
_ANY = re.compile(r"<[^>]*>")  # of a family, as in ``header.<name>``


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words that one place knows."""

    known: Collection[str]  # in lower case; words of an option are separated by dots
    synonyms: Mapping[str, str] = field(default_factory=dict)  # what other programs call it, without - _ . -> known
    advice: Mapping[str, str] = field(default_factory=dict)  # such a word -> the remedy, where a known word says less

    def nearest(self, text: str) -> str:
        """Return the known word that an unknown one stands for, or looks most like; empty: none."""
        word = text[:_LONGEST].lower()
        if word in self.known:
            return word
        flat = _BETWEEN.sub("", word)
        if flat in self.synonyms:
            return self.synonyms[flat]
        if same := [known for known in self.known if _BETWEEN.sub("", known) == flat]:
            return same[0]
        return alike(word, self.known)

    def remedy(self, text: str, otherwise: str) -> str:
        """Return what to write in place of an unknown word.

        Args:
            otherwise: the remedy if nothing is like it.
        """
        if advice := self.advice.get(_BETWEEN.sub("", text.lower())):
            return advice
        nearest = self.nearest(text)
        return f"did you mean {nearest}?" if nearest else otherwise


def alike(text: str, known: Iterable[str], cutoff: float = LIKE) -> str:
    """Return the known word that looks most like another one; empty: none.

    Of options each word has to be like the other's: ``loadbalancer.server.url`` is not ``loadbalancer.server.port``.
    """
    word = text[:_LONGEST].lower()
    parts = word.split(".")
    # What is written for a family's name is part of it.
    rows = {_ANY.sub(lambda _: parts[-1], each) if len(parts) > 1 else each: each for each in known}
    fitting = [each for each in rows if each.count(".") == len(parts) - 1 and _word_by_word(parts, each, cutoff)]
    close = difflib.get_close_matches(word, fitting, 3, cutoff)
    if not close:
        longer = [each for each in rows if each.count(".") != len(parts) - 1]
        close = difflib.get_close_matches(word, longer, 1, _LIKE_AS_A_WHOLE)
    # Letters change places more often than one is another: ``hots`` is host, not hsts.
    return rows[next((each for each in close if sorted(each) == sorted(word)), close[0])] if close else ""


def like(one: str, other: str, cutoff: float = LIKE) -> bool:
    """Tell whether two words are alike."""
    matcher = difflib.SequenceMatcher(None, one[:_LONGEST], other[:_LONGEST])
    # Cheap upper bounds first: hundreds of words are compared for each unknown one, and few are alike.
    return all(bound() >= cutoff for bound in (matcher.real_quick_ratio, matcher.quick_ratio, matcher.ratio))


def without_dots(prefix: str, words: Sequence[str], options: Collection[str]) -> str:
    """Return the label to write for one whose element has a name with dots; empty: it has none.

    ``("lbgen.http.", ("my", "app", "port"))`` -> ``lbgen.http.my-app.port``.

    Args:
        prefix: what stands before the name.
        words: the name and the option.
        options: those that there are.
    """
    for at in range(2, len(words)):
        if ".".join(words[at:]) in options:
            return f"{prefix}{'-'.join(words[:at])}.{'.'.join(words[at:])}"
    return ""


def _word_by_word(parts: Sequence[str], option: str, cutoff: float) -> bool:
    return all(one == other or like(one, other, cutoff) for one, other in zip(parts, option.split("."), strict=True))
