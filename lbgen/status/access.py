"""Who may ask for what of the status port.

/healthz, /readyz and /metrics answer everybody. All else answers who sends what `status.auth` asks for; without that
setting this machine alone (`status.bind` is loopback), or everybody where `status.public` says so. /traefik/TARGET, in
which there are hashes and keys, answers to a token of its own as well.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

from lbgen.base.address import is_address
from lbgen.settings import StatusSettings
from lbgen.status.pace import SPEND, Application, Message, Receive, Send
from lbgen.status.secret_files import Key, Passwords, Token

OPEN = frozenset({"/healthz", "/readyz", "/metrics"})
FEEDS = "/traefik/"
_SENDING = {
    "Bearer": "send the token of {setting} as 'Authorization: Bearer TOKEN'",
    "Basic": "send a user of {setting} and the password, as HTTP basic authentication",
}
_COMMANDS = "lbgen's commands take it from --auth FILE or LBGEN_STATUS_AUTH"
_TRAEFIK = "Traefik sends it by providers.http.headers"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request gets no answer, and what to do about it."""

    status: int  # 401: something has to be sent; 403: a setting has to be made
    text: str
    challenges: tuple[str, ...] = ()  # of WWW-Authenticate


class Access:
    """Who may ask, by the settings."""

    def __init__(self, settings: StatusSettings | None = None) -> None:
        """
        Args:
            settings: None: as they are by default, on loopback.
        """
        self._settings = settings or StatusSettings()
        self._keys: list[Key] = []
        self._feed_keys: list[Key] = []
        self._passwords = asyncio.Lock()
        if token := self._settings.traefik_token:
            self._feed_keys.append(Token("status.traefik_token", token))
        if auth := self._settings.auth:
            if auth.token:
                self._keys.append(Token("status.auth.token", auth.token))
            if auth.users:
                self._keys.append(Passwords("status.auth.users", auth.users))

    async def refusal(self, path: str, headers: Headers, spend: Callable[[float], None]) -> Refusal | None:
        """Return why a request is not answered; None: it is."""
        if path in OPEN:
            return None
        feed = path.startswith(FEEDS)
        keys = [*self._feed_keys, *self._keys] if feed else self._keys
        if not keys:
            return self._without_keys(headers.get("host", ""), feed)
        authorization = headers.get("authorization", "")
        for key in keys:
            if await self._admits(key, authorization, spend):
                return None
        return _unauthorized(keys, _TRAEFIK if feed else _COMMANDS)

    async def _admits(self, key: Key, authorization: str, spend: Callable[[float], None]) -> bool:
        if authorization.partition(" ")[0].lower() != key.scheme.lower():
            return False
        # In a thread: files are read, and comparing a password takes up to a tenth of a second. One password after the
        # other: who guesses takes one processor at most, and no token waits for it.
        async with self._passwords if key.scheme == Passwords.scheme else contextlib.nullcontext():
            admitted = await asyncio.to_thread(key.admits, authorization, spend)
        return bool(admitted)

    def _without_keys(self, host: str, feed: bool) -> Refusal | None:
        if self._settings.public:
            return None
        if not self._settings.loopback:
            setting = (
                "status.traefik_token: FILE (or status.auth)" if feed else "status.auth: {token: FILE}, {users: FILE}"
            )
            where = f"status.bind {self._settings.bind} can be reached from elsewhere, and nothing says who may ask"
            return Refusal(403, f"{where}: set {setting}, or status.public: true to tell everybody")
        # A page on the web may have its own name resolve to 127.0.0.1, and have a browser here ask (DNS rebinding). No
        # name there is without a dot.
        name = _host(host)
        if "." in name and not is_address(name):
            wanted = "ask by address or as localhost, or set status.auth: {token: FILE}"
            return Refusal(403, f"the header Host has a name of the web: {wanted}")
        return None


def _unauthorized(keys: Sequence[Key], how: str) -> Refusal:
    ways = ", or ".join(_SENDING[key.scheme].format(setting=key.setting) for key in keys)
    challenges = dict.fromkeys(f'{key.scheme} realm="lbgen"' for key in keys)
    return Refusal(401, f"{ways}; {how}", tuple(challenges))


def _host(header: str) -> str:
    """``[::1]:9099`` -> ``::1``, ``LOCALHOST.`` -> ``localhost``."""
    host = header.strip().lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].removesuffix(".")


def guarded(application: Application, access: Access) -> Application:
    """Return the ASGI application, which answers only who may ask."""

    async def answer(scope: Message, receive: Receive, send: Send) -> None:
        spend = scope.get(SPEND) or (lambda _: None)
        if refusal := await access.refusal(scope["path"], Headers(scope=scope), spend):
            headers = {"cache-control": "no-store"}
            response = PlainTextResponse(refusal.text + "\n", refusal.status, headers)
            for challenge in refusal.challenges:
                response.headers.append("www-authenticate", challenge)
            await response(scope, receive, send)
        else:
            await application(scope, receive, send)

    return answer
