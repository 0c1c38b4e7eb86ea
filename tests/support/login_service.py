"""A login service: sessions by cookie, redirects to a login page, and answers that a proxy might not expect."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.wait import PATIENCE

SESSION = "session=anna"
PAGE = b"please log in\n"
HUGE = 1 << 20
RENEWED = ("session=anna; Path=/; Expires=Wed, 21 Oct 2099 07:28:00 GMT", "seen=1; Path=/", "last=")
LARGE = "x" * 4000
_MOODS = {"teapot": 418, "broken": 500, "bare": 403, "empty": 204, "see-other": 303}


@dataclass(frozen=True)
class Asked:
    """A question of a proxy's."""

    address: str  # the server's
    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes


@dataclass
class LoginService:
    """Servers at `port` of every address in 127.0.0.0/8.

    A cookie SESSION is let in, as anna; who sends X-Mood gets another answer: "basic", "hang" (until `release` is set),
    "hang-up", "huge", "chunked", "anonymous" (let in without a name), or one of the statuses in _MOODS. All others are
    sent to the login page. Beside the cookie, "renew" has it set RENEWED, and "large" LARGE, with a name as large.
    """

    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)
    ill: set[str] = field(default_factory=set)  # addresses at which it hangs up


@contextlib.contextmanager
def login_service(tls: ssl.SSLContext | None = None) -> Iterator[LoginService]:
    """Run one, with TLS if there is a context."""
    service = LoginService()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def answer(self) -> None:
            where = self.connection.getsockname()[0]
            headers = {name.lower(): ", ".join(self.headers.get_all(name, [])) for name in self.headers}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            service.asked.append(Asked(where, self.command, self.path, headers, body))
            mood = headers.get("x-mood", "")
            if where in service.ill or mood == "hang-up":
                self.close_connection = True
            elif SESSION in headers.get("cookie", ""):
                name = LARGE if mood == "large" else "anna"
                cookies = [
                    ("Set-Cookie", cookie) for cookie in {"renew": RENEWED, "large": (f"big={LARGE}",)}.get(mood, ())
                ]
                self.reply(200, b"welcome", ("Remote-User", name), ("Remote-Groups", "staff,admins"), *cookies)
            elif mood == "hang":
                service.release.wait(PATIENCE)
                self.close_connection = True
            elif mood == "anonymous":
                self.reply(200, b"")
            elif mood == "basic":
                self.reply(401, b"who are you?\n", ("WWW-Authenticate", 'Basic realm="login"'))
            elif mood == "huge":
                self.reply(403, b"x" * HUGE)
            elif mood == "chunked":
                self.chunks(403, [b"one", b"two", b"x" * 6000])
            elif mood in _MOODS:
                self.reply(_MOODS[mood], b"" if mood == "empty" else mood.encode())
            else:
                told = [headers.get(f"x-forwarded-{name}", "") for name in ("proto", "host", "uri")]
                target = "https://login.example.org/?rd={}://{}{}".format(*told)
                cookies = [("Set-Cookie", "csrf=1; Path=/"), ("Set-Cookie", "state=2; Path=/")]
                self.reply(302, PAGE, ("Location", target), *cookies)

        def reply(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def chunks(self, status: int, chunks: list[bytes]) -> None:
            self.send_response(status)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for chunk in [*chunks, b""]:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = answer

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def finish_request(self, request: Any, client_address: Any) -> None:
            """In the connection's own thread: a handshake must not hold others."""
            with contextlib.suppress(OSError):
                super().finish_request(tls.wrap_socket(request, server_side=True) if tls else request, client_address)

        def handle_error(self, *_: object) -> None:
            """A proxy that hangs up is not an error."""

    with Server(("0.0.0.0", 0), Handler) as server:
        service.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield service
        finally:
            service.release.set()
            server.shutdown()
            thread.join()
