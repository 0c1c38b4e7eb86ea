"""Why a service is routed as it is, or is not: what was decided about it, asked of the code that decides.

`service.py` returns the explanation as a plain document, `cli/explain_text.py` writes it for a terminal. Nothing is
kept while lbgen follows a Swarm: an explanation is made when it is asked for.
"""

from lbgen.report.explain.facts import Facts, TargetFacts
from lbgen.report.explain.service import Document, explanation

__all__ = ["Document", "Facts", "TargetFacts", "explanation"]
