"""HTTP/1.1 as uvicorn reads it with httptools, within bounds: what h11 refused is refused, and memory has an end.

httptools parses in C. Alone it takes a head of any size, trailers for headers, and requests without a Host.
"""

from typing import Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LARGEST_HEAD: Final = 64 * 1024
"""Of a head, of trailers, or of what stands around chunks: more than this may not be read without a piece of body."""
MOST_PIPELINED: Final = 16
"""Requests that wait on one connection for the answer to an earlier one."""
VERSIONS: Final = ("1.0", "1.1")


class RefusedError(Exception):
    """The parser stops; uvicorn answers 400 and closes the connection."""


class BoundedHttp(HttpToolsProtocol):
    """One connection."""

    _unseen = 0
    """Bytes since the last piece of body or the last end of a request."""
    _has_head = False

    def data_received(self, data: bytes) -> None:
        self._unseen += len(data)
        super().data_received(data)
        if self._unseen > LARGEST_HEAD and not self.transport.is_closing():
            self.send_400_response("Request head too large.")

    def on_message_begin(self) -> None:
        self._has_head = False
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._has_head:  # RFC 9110 6.5.1: trailers are not to be merged into the header section
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._has_head = True
        self._check_head()
        super().on_headers_complete()
        if self.parser.should_upgrade():  # it is answered as if it had not asked, but nothing behind it is parsed
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._unseen = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._unseen = 0
        super().on_message_complete()

    def _check_head(self) -> None:
        names = [name for name, _ in self.headers]
        version = self.parser.get_http_version()
        if version not in VERSIONS or len(self.pipeline) >= MOST_PIPELINED:
            raise RefusedError
        # RFC 9112 3.2: a request with no Host, or with several, is answered 400
        if names.count(b"host") != 1 and (version == "1.1" or b"host" in names):
            raise RefusedError
        # RFC 9112 6.1: chunked is the one coding that we know
        if any(value.lower() != b"chunked" for name, value in self.headers if name == b"transfer-encoding"):
            raise RefusedError
        # what follows a switch of protocols is not parsed: a body would be lost
        if self.parser.should_upgrade() and (b"content-length" in names or b"transfer-encoding" in names):
            raise RefusedError
