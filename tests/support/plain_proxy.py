"""A TLS server in front of an application, as nginx is with one `proxy_pass`.

Like nginx, it sends HTTP/1.0, ``Connection: close`` and the address of the application
as ``Host``, and says neither that the browser used https nor which host it asked for.
"""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        method, target, _ = self.rfile.readline().split(b" ")
        head = b"%s %s HTTP/1.0\r\n" % (method, target)
        while (line := self.rfile.readline()) not in {b"\r\n", b""}:
            if not line.lower().startswith((b"host:", b"connection:")):
                head += line
        host, port = self.server.backend
        head += b"Host: %s:%d\r\nConnection: close\r\n\r\n" % (host.encode(), port)
        with socket.create_connection((host, port)) as backend:
            backend.sendall(head)
            while data := backend.recv(65536):
                self.wfile.write(data)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    backend: tuple[str, int]
    tls: ssl.SSLContext

    def get_request(self) -> tuple[socket.socket, object]:
        connection, address = super().get_request()
        return self.tls.wrap_socket(connection, server_side=True), address


@contextmanager
def behind_proxy(url: str, tls: ssl.SSLContext) -> Iterator[str]:
    """Serve the application at `url` over TLS, and yield the URL of the proxy.

    Requests must have no body.
    """
    address = urlsplit(url)
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.backend = (address.hostname or "", address.port or 80)
        server.tls = tls
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield "https://{}:{}".format(*server.server_address[:2])
        finally:
            server.shutdown()
            thread.join()
