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
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HERE = Path(__file__).parent
LBGEN = [sys.executable, "-m", "lbgen"]
APPLICATIONS = {8081: "shop", 8082: "api"}
ADDRESSES = ("127.0.0.11", "127.0.0.12", "127.0.0.13")
PROXY = ("127.0.0.1", 8080)


def main() -> int:
    """Run the demo; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, help="end after so many seconds instead of at Ctrl-C")
    parser.add_argument("--snapshot", type=Path, default=HERE / "snapshot.yml", help="the file to follow")
    arguments = parser.parse_args()
    common = ["--config", str(HERE / "lbgen.yml"), "--from", str(arguments.snapshot)]
    with tempfile.TemporaryDirectory(prefix="lbgen-demo-") as directory:
        output = Path(directory)
        os.environ["LBGEN_TARGETS__DEMO__OUTPUT"] = directory
        print("== rendered from", arguments.snapshot)
        checked = ["--check"] if shutil.which("haproxy") else []
        if subprocess.run([*LBGEN, "render", "--once", *common, "-o", directory, *checked], check=False).returncode:
            return 1
        print((output / "haproxy.cfg").read_text())
        if not checked:
            print("haproxy is not installed: this is as far as it goes. Debian: apt-get install haproxy")
            return 0
        return serve(common, output, arguments)


def serve(common: list[str], output: Path, arguments: argparse.Namespace) -> int:
    """Run lbgen with HAProxy and the applications behind it, and show what they answer."""
    for port, name in APPLICATIONS.items():
        for address in ADDRESSES:
            start_application(name, address, port)
    lbgen = subprocess.Popen([*LBGEN, "run", *common])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        if not until_it_answers(lbgen):
            print("HAProxy does not answer; is port 8080 in use?", file=sys.stderr)
            return 1
        print("\n== HAProxy checked it, runs it, and answers:")
        for path in ("/", "/", "/", "/api", "/api"):
            print(f"   http://shop.example.org{path:5} -> {ask('shop.example.org', path)}")
        print(f"   http://other.example.org/ -> {ask('other.example.org', '/')}")
        print(NEXT.format(snapshot=arguments.snapshot, output=output))
        lbgen.wait(arguments.seconds)
    except (KeyboardInterrupt, subprocess.TimeoutExpired):
        pass
    finally:
        lbgen.terminate()
        lbgen.wait(30)
    return 0


NEXT = """
== What to look at next
   curl -H 'Host: shop.example.org' http://127.0.0.1:8080/      the applications, in turn
   {snapshot}   edit and save: the change is live a moment later, and its head says what to try
   {output}/haproxy.cfg   what HAProxy runs now
   README.md   the way to your own Swarm

   Ctrl-C ends it.
"""


def until_it_answers(lbgen: subprocess.Popen[bytes]) -> bool:
    """Wait until the proxy answers with an application's words; False if that does not come."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and lbgen.poll() is None:
        if ask("shop.example.org", "/").startswith("200"):
            return True
        time.sleep(0.1)
    return False


def ask(host: str, path: str) -> str:
    """Return status and body of one request through the proxy."""
    connection = http.client.HTTPConnection(*PROXY, timeout=5)
    try:
        connection.request("GET", path, headers={"Host": host})
        answer = connection.getresponse()
        return f"{answer.status} {answer.read().decode().strip()}"
    except OSError as error:
        return f"no answer ({error})"
    finally:
        connection.close()


def start_application(name: str, address: str, port: int) -> None:
    """Start an application that says who it is."""

    class Application(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"{name} on {address}\n".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing of each request."""

    server = ThreadingHTTPServer((address, port), Application)
    threading.Thread(target=server.serve_forever, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
