"""Ways to say where a body ends that a server may read otherwise than the one in front of it; %d is a length."""

from typing import Final

FRAMINGS: Final = {
    "length and chunks": b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n",
    "chunks and length": b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n",
    "chunks by a name with a space": b"Content-Length: %d\r\nTransfer-Encoding : chunked\r\n",
    "chunks on a folded line": b"Content-Length: %d\r\nTransfer-Encoding:\r\n chunked\r\n",
    "another coding": b"Content-Length: %d\r\nTransfer-Encoding: xchunked\r\n",
    "chunks and identity": b"Content-Length: %d\r\nTransfer-Encoding: chunked, identity\r\n",
    "chunks behind another coding": b"Transfer-Encoding: gzip, chunked\r\nX-Length: %d\r\n",
    "chunks twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\nX-Length: %d\r\n",
    "chunks behind a vertical tab": b"Content-Length: %d\r\nTransfer-Encoding: \x0bchunked\r\n",
    "two lengths": b"Content-Length: 5\r\nContent-Length: %d\r\n",
    "a list of lengths": b"Content-Length: 5, %d\r\n",
    "a signed length": b"Content-Length: +%d\r\n",
    "a hexadecimal length": b"Content-Length: 0x%d\r\n",
    "a length with a space in it": b"Content-Length: 4 %d\r\n",
    "line feeds alone": b"Content-Length: %d\nTransfer-Encoding: chunked\r\n",
    "a carriage return alone": b"Content-Length: %d\rTransfer-Encoding: chunked\r\n",
    "a NUL": b"Content-Length: %d\r\nX-A: a\x00b\r\n",
    "a second host": b"Content-Length: %d\r\nHost: y\r\n",
    "a switch of protocols": b"Content-Length: %d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n",
}
