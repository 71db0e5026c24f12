"""What the doctor makes of Apache's status page, which a server of the test's own shows."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from api.administration.apache import examine_apache
from standalone.servers import free_port


@contextmanager
def status_page(body: str, *, limit: str | None = "1024", status: int = 200) -> Iterator[int]:
    """A server that answers everything with this; gives its port."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            if limit is not None:
                self.send_header("X-Max-Request-Workers", limit)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("busy", "verdict"), [(3, "ok"), (819, "ok"), (820, "warn"), (1024, "fail")])
def test_near_the_limit(busy: int, verdict: str) -> None:
    with status_page(f"operations\nTotal Accesses: 9\nBusyWorkers: {busy}\nIdleWorkers: 9\n") as port:
        finding = examine_apache("127.0.0.1", port)
    assert finding.verdict == verdict
    assert finding.found == f"{busy} of 1024 connections taken"
    assert ("APACHE_MAX_CONNECTIONS" in finding.advice) == (verdict != "ok")


@pytest.mark.parametrize(
    ("body", "limit", "status"),
    [("BusyWorkers: 1\n", None, 200), ("BusyWorkers: 1\n", "1024", 403), ("It works!", "1024", 200)],
)
def test_another_program_stands_there(body: str, limit: str | None, status: int) -> None:
    with status_page(body, limit=limit, status=status) as port:
        assert "does not say how busy it is" in examine_apache("127.0.0.1", port).found


def test_nobody_stands_there() -> None:
    assert examine_apache("127.0.0.1", free_port()).verdict == "warn"
