"""HTTP servers on loopback, for the tests of what asks one."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6, socket

Page = str | tuple[int, str]
"""The body of an answer, with its status where that is not 200."""


@contextmanager
def serving(pages: Mapping[str, Page], host: str = "127.0.0.1") -> Iterator[tuple[int, list[str]]]:
    """Serve *pages* by their paths, and give the port and the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            page = pages.get(self.path, (404, '{"error": {"code": 404}}'))
            status, body = page if isinstance(page, tuple) else (200, page)
            content = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        address_family = AF_INET6 if ":" in host else AF_INET

    with Server((host, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1], asked
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def sending(*pieces: bytes, closes: bool = True) -> Iterator[int]:
    """Listen for one client, send it *pieces* whatever it asks, and give the port.

    Where it does not close, the client is left to wait.
    """
    done = threading.Event()

    def answer() -> None:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client:
            try:
                client.recv(65536)
                for piece in pieces:
                    client.sendall(piece)
                if not closes:
                    done.wait()
            except OSError:
                pass  # the client has gone, as it should

    with socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            done.set()
            listener.close()
            thread.join()
