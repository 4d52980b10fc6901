"""Asks an HTTP server on this machine. Loaded only where one is asked, as it is much to load."""

import contextlib
import errno
import io
import os
import re
import socket
import sys
import time

from vramline.machine.protocol import HttpAnswer

LONGEST_BYTES = 4 * 2**20
"""Of an answer, headers and all: a thousand models in a list are a quarter of it."""

_NO_SUCH_ADDRESS = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
"""What connecting to ``::1`` comes to where there is no IPv6: nobody can listen there."""

_URL = re.compile(r"http://(?:(127\.0\.0\.1|localhost)|\[(::1)\]):([0-9]{1,5})(/[!-~]*)")
_REQUEST = (
    "GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: application/json\r\n"
    "User-Agent: vramline\r\nConnection: close\r\n\r\n"
)


def fetch(url: str, *, timeout_seconds: float) -> HttpAnswer:
    """Return what a server answers, as ``Machine.fetch`` explains."""
    found = _URL.fullmatch(url)
    if found is None or int(found[3]) not in range(1, 2**16):
        raise ValueError(f"no address on loopback: {url!a}")
    deadline = time.monotonic() + timeout_seconds
    request = _REQUEST.format(path=found[4], host=url[7 : found.start(4)])
    try:
        with _connect(found[1] or found[2], int(found[3]), timeout_seconds) as connection:
            connection.sendall(request.encode("ascii"))
            return _answer(connection, deadline)
    except TimeoutError as error:
        raise _error(errno.ETIMEDOUT, url) from error


def _connect(host: str, port: int, timeout_seconds: float) -> socket.socket:
    if host == "localhost":  # which of the two a server took follows its resolver
        half = timeout_seconds / 2
        with contextlib.suppress(ConnectionRefusedError):
            return _connect("127.0.0.1", port, half)
        with contextlib.suppress(ConnectionRefusedError):
            return _connect("::1", port, half)
        raise _error(errno.ECONNREFUSED, f"{host}:{port}")
    try:
        return socket.create_connection((host, port), timeout=timeout_seconds)
    except TimeoutError as error:
        # Windows asks twice more, half a second apart, before it says that nobody listens.
        if sys.platform == "win32":
            raise _error(errno.ECONNREFUSED, f"{host}:{port}") from error
        raise
    except OSError as error:
        if error.errno in _NO_SUCH_ADDRESS:
            raise _error(errno.ECONNREFUSED, f"{host}:{port}") from error
        raise


def _answer(connection: socket.socket, deadline: float) -> HttpAnswer:
    from http.client import HTTPException, HTTPResponse

    response = HTTPResponse(connection, method="GET")
    response.fp.close()  # it would wait for each piece anew, and for ever for all of them
    response.fp = io.BufferedReader(_Bounded(connection, deadline))
    try:
        response.begin()
        body = response.read(LONGEST_BYTES)
    except (HTTPException, ValueError) as error:
        raise _error(errno.EPROTO, "an answer that is not HTTP") from error
    if response.length:  # it was closed before so much had come
        raise _error(errno.EPROTO, "an answer without its end")
    return HttpAnswer(status=response.status, body=body.decode("utf-8", "replace"))


class _Bounded(io.RawIOBase):
    """What a server sends, until *deadline*, and no more than is wanted."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self._connection = connection
        self._deadline = deadline
        self._left = LONGEST_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        self._connection.settimeout(seconds)
        size = self._connection.recv_into(buffer)
        self._left -= size
        if self._left < 0:
            raise _error(errno.EMSGSIZE, "an answer without an end")
        return size


def _error(number: int, what: str) -> OSError:
    return OSError(number, os.strerror(number), what)
