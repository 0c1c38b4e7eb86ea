"""`make demo`: lbgen in front of a Swarm that is only written down, with a real HAProxy where there is one.

Starts six small applications on loopback addresses, renders and checks examples/snapshot.yml, serves it, and follows
the file until Ctrl-C.
"""

from __future__ import annotations

import argparse
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import inf
from pathlib import Path

HERE = Path(__file__).parent
LBGEN = [sys.executable, "-m", "lbgen"]
APPLICATIONS = ("shop", "api")
ADDRESSES = ("127.0.0.11", "127.0.0.12", "127.0.0.13")
PORTS = [8080, 8081, 8082]


def main() -> int:
    """Run the demo until Ctrl-C or SIGTERM; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=inf, help="end after so many seconds instead of at Ctrl-C")
    parser.add_argument("--snapshot", type=Path, default=HERE / "snapshot.yml", help="the file to follow")
    ports = "ports of the proxy, of shop and of api, the latter two as in the file"
    parser.add_argument("--ports", type=int, nargs=3, default=PORTS, metavar=("PROXY", "SHOP", "API"), help=ports)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with tempfile.TemporaryDirectory(prefix="lbgen-demo-") as directory:
            return demonstrate(Path(directory), arguments)
    except KeyboardInterrupt:
        return 0


def demonstrate(output: Path, arguments: argparse.Namespace) -> int:
    """Render and check the example, and serve it where there is a HAProxy; return the exit code."""
    os.environ["PYTHONPATH"] = str(HERE.parent)  # lbgen need not be installed
    os.environ["LBGEN_TARGETS__DEMO__OUTPUT"] = str(output)
    os.environ["LBGEN_LISTENERS__WEB__BIND"] = f"127.0.0.1:{arguments.ports[0]}"
    common = ["--config", str(HERE / "lbgen.yml"), "--from", str(arguments.snapshot)]
    print("== rendered from", arguments.snapshot, flush=True)
    checked = ["--check"] if shutil.which("haproxy") else []
    if subprocess.run([*LBGEN, "render", "--once", *common, "-o", str(output), *checked], check=False).returncode:
        return 1
    print((output / "haproxy.cfg").read_text())
    if not checked:
        print("haproxy is not installed: this is as far as it goes. Debian: apt-get install haproxy")
        return 0
    if problem := start_applications(*arguments.ports):
        print(problem, file=sys.stderr)
        return 1
    return serve(common, output, arguments)


def serve(common: list[str], output: Path, arguments: argparse.Namespace) -> int:
    """Run lbgen with HAProxy, and show what the applications behind it answer."""
    lbgen = subprocess.Popen([*LBGEN, "run", *common])
    try:
        proxy = arguments.ports[0]
        if not until_it_answers(lbgen, proxy):
            print("HAProxy does not answer", file=sys.stderr)
            return 1
        print("\n== HAProxy checked it, runs it, and answers:")
        for path in ("/", "/", "/", "/api", "/api"):
            print(f"   http://shop.example.org{path:5} -> {ask(proxy, 'shop.example.org', path)}")
        print(f"   http://other.example.org/ -> {ask(proxy, 'other.example.org', '/')}")
        print(NEXT.format(proxy=proxy, snapshot=arguments.snapshot, output=output), flush=True)
        # With a limit, even an endless one, it looks again and again: without, a signal that comes in the moment before
        # it waits would not wake it up.
        lbgen.wait(arguments.seconds)
    except subprocess.TimeoutExpired:
        pass
    finally:
        for ending in (signal.SIGINT, signal.SIGTERM):  # another Ctrl-C changes nothing any more
            signal.signal(ending, signal.SIG_IGN)
        lbgen.terminate()
        lbgen.wait(30)
    return 0


NEXT = """
== What to look at next
   curl -H 'Host: shop.example.org' http://127.0.0.1:{proxy}/      the applications, in turn
   {snapshot}   edit and save: the change is live a moment later, and its head says what to try
   {output}/haproxy.cfg   what HAProxy runs now
   README.md   the way to your own Swarm

   Ctrl-C ends it.
"""


def until_it_answers(lbgen: subprocess.Popen[bytes], proxy: int) -> bool:
    """Wait until the proxy answers with an application's words; False if that does not come."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and lbgen.poll() is None:
        if ask(proxy, "shop.example.org", "/").startswith("200"):
            return True
        time.sleep(0.1)
    return False


def ask(proxy: int, host: str, path: str) -> str:
    """Return status and body of one request through the proxy."""
    connection = http.client.HTTPConnection("127.0.0.1", proxy, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return f"{answer.status} {answer.read().decode().strip()}"
    except OSError as error:
        return f"no answer ({error})"
    finally:
        connection.close()


def start_applications(proxy: int, *ports: int) -> str:
    """Start each application on its port of every address; return the problem if a port is in use, else nothing."""
    wanted = [("127.0.0.1", proxy), *((address, port) for port in ports for address in ADDRESSES)]
    for address, port in wanted:
        try:
            if port == proxy:  # HAProxy will have it
                socket.create_server((address, port)).close()
            else:
                start_application(APPLICATIONS[ports.index(port)], address, port)
        except OSError as error:
            return f"cannot listen on {address}:{port} ({error.strerror}); --ports takes others"
    return ""


def start_application(name: str, address: str, port: int) -> None:
    """Start an application that says who it is; raise OSError where somebody has its port."""

    class Application(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"{name} on {address}\n".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing of each request."""

    class Server(ThreadingHTTPServer):
        def handle_error(self, *client: object) -> None:
            """Tell of the application's faults, and not of clients that hang up, as HAProxy's checks do."""
            if not isinstance(sys.exception(), ConnectionError):
                super().handle_error(*client)

    server = Server((address, port), Application)
    threading.Thread(target=server.serve_forever, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
