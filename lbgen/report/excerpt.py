"""What of a Swarm's labels goes into a recorded snapshot: those that lbgen may read, without the secrets in them."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from lbgen.labels.dialects import DIALECTS, dialect_of
from lbgen.labels.other_labels import meant
from lbgen.labels.secret_values import LEFT_OUT, holds_secret
from lbgen.labels.traefik.constraints import constrained_labels
from lbgen.settings import Settings
from lbgen.snapshot import PROJECT, STACK, Snapshot

_OF_NODES = re.compile(r"\b(?:node|engine)\.labels\.([^\s=!,]+)")
_OF_SERVICES = re.compile(r"\blabel\.([^\s=!,]+)")


def excerpt(facts: Snapshot, settings: Settings, *, prefixes: tuple[str, ...] = (), secrets: bool = False) -> Snapshot:
    """Return the snapshot with the labels that a dialect, a constraint, a claim or another setting reads.

    Args:
        prefixes: of further labels to keep, for templates of one's own.
        secrets: keep values that may be secrets. Else a mark stands for each, which no dialect accepts: a route that is
            guarded by one is closed.
    """
    named = _named_in(settings)
    chosen = {
        id_: _chosen(item.labels, lambda label: _is_read(label) or label in named, prefixes, secrets)
        for id_, item in facts.services.items()
    }
    texts = [settings.discovery.nodes, *(value for labels in chosen.values() for value in labels.values())]
    placing = {label for text in texts for label in _OF_NODES.findall(text)}

    def placed(labels: Mapping[str, str]) -> dict[str, str]:
        return _chosen(labels, lambda label: label in placing or label.startswith("lbgen."), prefixes, secrets)

    return replace(
        facts,
        services={id_: replace(item, labels=chosen[id_]) for id_, item in facts.services.items()},
        nodes={
            id_: replace(item, labels=placed(item.labels), engine_labels=placed(item.engine_labels))
            for id_, item in facts.nodes.items()
        },
        networks={id_: replace(item, labels=placed(item.labels)) for id_, item in facts.networks.items()},
    )


def _named_in(settings: Settings) -> frozenset[str]:
    """Return the services' labels that settings name."""
    named = {STACK, PROJECT, *constrained_labels(settings.discovery.traefik.constraints)}
    return frozenset(named.union(*(_OF_SERVICES.findall(claim.services) for claim in settings.claims)))


def _is_read(label: str) -> bool:
    """Tell whether a label is of a dialect, whichever are read now, or looks like a misspelt one."""
    return bool(dialect_of(label) or meant(label, tuple(DIALECTS)))


def _chosen(
    labels: Mapping[str, str], wanted: Callable[[str], bool], prefixes: Collection[str], secrets: bool
) -> dict[str, str]:
    return {
        label: value if secrets or not holds_secret(label, value) else LEFT_OUT
        for label, value in labels.items()
        if wanted(label) or label.startswith(tuple(prefixes))
    }
