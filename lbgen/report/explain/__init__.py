"""Why a service is served as it is, or not: what was decided about it, read off the code that decides.

`service.py` puts the answer together as a plain document, `text.py` writes it for a terminal. Nothing of it is kept
while lbgen follows a Swarm: an explanation is made when somebody asks.
"""

from lbgen.report.explain.facts import Aim, Facts
from lbgen.report.explain.service import Document, explained

__all__ = ["Aim", "Document", "Facts", "explained"]
