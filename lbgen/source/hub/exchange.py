"""One question to a hub and its answer, over a connection of its own: how an edge joins and renews, and hubs talk.

Everything else about trust takes an `Exchange`, so that it is tested without a network, and knows no websocket.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lbgen.base import json_text
from lbgen.base.errors import SettingsError, SourceError
from lbgen.base.fleet_names import hub_place
from lbgen.source.hub.certificates import HUB, Refused, certificate_in, holder_of

JOIN, RENEW, PEER = "/v1/join", "/v1/renew", "/v1/peer"
LARGEST = 64 << 10  # bytes of a request or an answer on JOIN and RENEW
LARGEST_OF_PEERS = 32 << 20  # bytes; a ledger has some 500 for each edge
PATIENCE = 10.0  # seconds for the connection, and for the answer, and ...
PATIENCE_TO_JOIN = 30.0  # ... for that to one who joins: the hub asks all others, with the patience above
ROTATED = "if the fleet has another authority since, join again with a new token and --again"
_NOT_YET, _EXPIRED = 9, 10  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED


@dataclass(frozen=True, slots=True)
class Answer:
    """What a hub has answered."""

    document: Mapping[str, Any]
    certificate: bytes  # the hub's, DER, as its handshake had it


# (URL of the hub, path, request, TLS) -> answer; raises SourceError where there is none
Exchange = Callable[[str, str, Mapping[str, Any], ssl.SSLContext], Answer]


def exchange(url: str, path: str, request: Mapping[str, Any], context: ssl.SSLContext) -> Answer:
    """Ask a hub over a websocket of its own.

    Raises:
        Refused: it says no, or is no hub of this fleet, as far as the context verifies that.
        SourceError: it cannot be reached, or does not answer.
    """
    from websockets.exceptions import WebSocketException
    from websockets.sync.client import connect

    most = LARGEST_OF_PEERS if path == PEER else LARGEST
    try:
        with connect(
            websocket_url(url) + path, ssl=context, max_size=most, compression=None,
            open_timeout=PATIENCE, close_timeout=1, ping_interval=None,
        ) as connection:  # fmt: skip
            assert isinstance(connection.socket, ssl.SSLSocket)
            certificate = connection.socket.getpeercert(binary_form=True) or b""
            connection.send(json.dumps(request))
            said = connection.recv(timeout=PATIENCE_TO_JOIN if path == JOIN else PATIENCE)
    except (OSError, EOFError, WebSocketException) as error:
        raise unanswered(url, error) from error
    return answer(url, said, certificate)


def answer(url: str, said: str | bytes, certificate: bytes) -> Answer:
    """Return what a hub has said; raise Refused if that is no."""
    try:
        document = json_text.data_in(said)
        if document["type"] == "refused":
            raise Refused(str(document["code"])[:32], f"hub {url}: {str(document['message'])[:1000]}")
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(f"hub {url}: its answer cannot be understood: is an lbgen hub there?") from error
    return Answer(document, certificate)


def refusal(refused: Refused) -> dict[str, Any]:
    """Return the answer that says no."""
    return {"type": "refused", "code": refused.code, "message": str(refused)}


def check_hub(certificate: bytes) -> str:
    """Return the name of the hub that a verified certificate is for; raise Refused if it is not a hub's."""
    holder = holder_of(certificate_in(certificate))
    if holder.role != HUB:
        raise Refused("fleet", f"what answers is no hub: it has the certificate of {holder.role} {holder.name}")
    return holder.name


def websocket_url(url: str) -> str:
    """Return ``wss://HOST:PORT`` for a hub's ``https://HOST:PORT``; raise SettingsError."""
    try:
        return f"wss://{hub_place(url)}"
    except ValueError as error:
        raise SettingsError(str(error)) from error


def unanswered(url: str, error: BaseException) -> SourceError:
    """Return what to say of a connection that failed."""
    if said := tls_failure(error):
        code, why = said
        return Refused(code, f"hub {url}: {why}") if code else SourceError(f"hub {url}: {why}")
    if isinstance(error, ConnectionRefusedError):
        return SourceError(f"hub {url}: no answer: nothing listens there, or a firewall refuses: is the hub up?")
    why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return SourceError(f"hub {url}: no answer: {why or type(error).__name__}")


def tls_failure(error: BaseException) -> tuple[str, str] | None:
    """Return the code of `Refused`, or "", and who refused whom in a TLS handshake, and what to do; None: TLS did not.

    What TLS has said last may be the cause of another error.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return None
    code = cause.verify_code if isinstance(cause, ssl.SSLCertVerificationError) else 0
    if code in (_NOT_YET, _EXPIRED):
        what = "has expired" if code == _EXPIRED else "is not valid yet"
        return "clock", f"its certificate {what} by this machine's clock: compare the clocks"
    if code:
        why = getattr(cause, "verify_message", "")
        return "fleet", f"it is not a hub of this fleet ({why}): nothing was told to it; {ROTATED}"
    reason = (cause.reason or str(cause)).lower().replace("_", " ")
    if "alert" in reason and ("cert" in reason or "unknown ca" in reason):
        return "fleet", f"it does not accept this edge's certificate ({reason}); {ROTATED}"
    return "", f"no TLS 1.3 with it: {reason}: is an lbgen hub there?"
