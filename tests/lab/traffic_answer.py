"""Reads one HTTP/1.1 answer out of the bytes of a connection, as far as they have come."""

from __future__ import annotations

HEAD_MOST = 65536


class Malformed(Exception):
    """What arrived is not an HTTP answer."""


class Answer:
    """An answer under way; `feed` and `end` say when it is complete."""

    __slots__ = ("_data", "_need", "headers", "received", "reusable", "status")

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}  # names in lower case
        self.received = 0  # bytes so far
        self.reusable = True  # the connection can carry another request
        self._data = b""
        self._need: int | None = 0  # bytes of body to come; None: chunked; -1: until the end

    def feed(self, data: bytes, no_body: bool) -> bool:
        """Take bytes; True when the answer is complete. `no_body`: the request's method was HEAD."""
        self.received += len(data)
        if self.status and self._need is not None:
            return self._body(data)
        self._data += data
        while not self.status:
            head, end, rest = self._data.partition(b"\r\n\r\n")
            if not end:
                if len(head) > HEAD_MOST:
                    raise Malformed(f"no end of the head in {len(head)} bytes")
                return False
            self._data = rest
            self._head(head, no_body)
        if self._need is None:
            return self._chunks()
        data, self._data = self._data, b""
        return self._body(data)

    def end(self) -> bool:
        """The stream has ended; True if that completes the answer."""
        self.reusable = False
        return self.status != 0 and self._need == -1

    def _head(self, head: bytes, no_body: bool) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")
        words = first.split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
            raise Malformed(f"no status line: {first[:60]!r}")
        status = int(words[1])
        if status < 200:  # 100 Continue, 103 Early Hints: the real answer follows
            return
        self.status = status
        self.headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
        }
        connection = self.headers.get("connection", "").lower()
        self.reusable = connection != "close" and (words[0] != "HTTP/1.0" or connection == "keep-alive")
        if no_body or status in (204, 304):
            self._need = 0
        elif "chunked" in self.headers.get("transfer-encoding", "").lower():
            self._need = None
        else:
            self._need = int(self.headers.get("content-length", -1))
            self.reusable = self.reusable and self._need >= 0

    def _body(self, data: bytes) -> bool:
        if self._need == -1:
            return False
        assert self._need is not None
        self._need -= len(data)
        if self._need < 0:
            raise Malformed(f"{-self._need} bytes more than the answer's Content-Length")
        return self._need == 0

    def _chunks(self) -> bool:
        """Take whole chunks off the data; True after the last one. Trailers are skipped with it."""
        while True:
            line, end, rest = self._data.partition(b"\r\n")
            if not end:
                return False
            try:
                size = int(line.partition(b";")[0], 16)
            except ValueError:
                raise Malformed(f"no chunk size: {line[:40]!r}") from None
            if size == 0:
                return rest.startswith(b"\r\n") or b"\r\n\r\n" in rest
            if len(rest) < size + 2:
                return False
            self._data = rest[size + 2 :]
