"""A scriptable server on a loopback socket, in threads, for any event loop.

A `Step` is the reaction of the server to one request. The n-th request, counted over
all connections, gets the n-th step. The last step is repeated for all further
requests::

    with Server(drop, answer(503), answer()) as server:
        ...
    assert len(server.requests) == 3

The steps are in `tests.support.steps`.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable
from typing import Self

import attrs

# The longest wait of a thread in seconds, and the largest request in bytes.
_LONGEST = 30.0
_LARGEST = 1 << 20


@attrs.frozen
class Request:
    """A received request: request line, headers and body."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, wanted: str) -> str:
        """Return the values of a header, joined by commas, or an empty string."""
        found = [text for name, text in self.headers if name.lower() == wanted.lower()]
        return ", ".join(found)


class Connection:
    """The connection of one client, for use by a `Step`."""

    def __init__(self, sock: socket.socket) -> None:
        self.requests: list[Request] = []
        self.closed = threading.Event()
        self.busy = False
        self._socket = sock
        self._received = b""
        sock.settimeout(_LONGEST)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Do the server side of the TLS handshake."""
        self._socket = context.wrap_socket(self._socket, server_side=True)

    def receive(self) -> Request:
        """Return the next request; raise OSError if the client has disconnected."""
        while b"\r\n\r\n" not in self._received:
            self._receive_more()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        line, *lines = head.decode().split("\r\n")
        pairs = (line.partition(":") for line in lines)
        headers = [(name, value.strip()) for name, _, value in pairs]
        length = int(Request(line, headers, b"").header("Content-Length") or 0)
        while len(self._received) < length:
            self._receive_more()
        request = Request(line, headers, self._received[:length])
        self._received = self._received[length:]
        self.requests.append(request)
        return request

    def _receive_more(self) -> None:
        data = self._socket.recv(1 << 16)
        self._received += data
        if not data or len(self._received) > _LARGEST:
            raise OSError

    def send(self, data: bytes) -> None:
        """Send `data` unchanged."""
        self._socket.sendall(data)

    def pause(self, seconds: float) -> None:
        """Wait for some seconds, or until the server stops."""
        self.closed.wait(seconds)

    def close(self) -> None:
        """Close the connection in order (FIN)."""
        self._shut_down()
        self._socket.close()
        # Last, because a test that has seen it relies on the FIN having been sent.
        self.closed.set()

    def stop(self) -> None:
        """End all waits; what has arrived remains for the thread to read."""
        self.closed.set()
        self._shut_down()

    def _shut_down(self) -> None:
        with contextlib.suppress(OSError):
            # SSLSocket.shutdown() is not safe to call from another thread.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def reset(self) -> None:
        """Reset the connection (RST)."""
        linger = struct.pack("ii", 1, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._socket.close()
        self.closed.set()


Step = Callable[[Connection, Request], None]


class Server:
    """A server that runs within its `with` block.

    After the block, `connections` and `requests` have everything that reached the
    sockets before its end, however late the threads of the server were. Within the
    block, only a response shows that a request has been read; else use `eventually`.

    At the end of the block it raises the first exception that a step raised.

    Args:
        steps: The reaction to each request; at least one step.
        tls: The TLS context for https.

    Attributes:
        listener: The socket, already bound, so that its port is known before the start.
    """

    def __init__(self, *steps: Step, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        self.connections: list[Connection] = []
        self._steps = deque(steps)
        self._tls = tls
        self._lock = threading.Lock()
        self._last_peer: object = None
        self._failures: list[Exception] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self._address = self.listener.getsockname()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._address[1]}"
        self.base_url = f"{self.url}/api"

    @property
    def open_connections(self) -> int:
        """How many connections neither side has closed."""
        return sum(not one.closed.is_set() for one in self.connections)

    @property
    def busy(self) -> bool:
        """Whether the step of an open connection has not ended."""
        return any(one.busy and not one.closed.is_set() for one in self.connections)

    def play(self, *steps: Step) -> None:
        """Replace the steps, beginning with the next request."""
        with self._lock:
            self._steps = deque(steps)

    def __enter__(self) -> Self:
        self.listener.listen(1024)
        self._threads[0].start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        # Wakes the accepting thread; closing the listener does that on Linux only.
        # Connections that were made earlier are accepted before it.
        with socket.socket() as last:
            last.bind(("127.0.0.1", 0))
            self._last_peer = last.getsockname()
            last.connect(self._address)
            self._threads[0].join(_LONGEST)
        self.listener.close()
        for connection in self.connections:
            connection.stop()
        for thread in self._threads:
            thread.join(_LONGEST)
        assert not any(thread.is_alive() for thread in self._threads)
        if self._failures and kind is None:
            raise self._failures[0]

    def _accept(self) -> None:
        while True:
            sock, peer = self.listener.accept()
            if peer == self._last_peer:
                sock.close()
                return
            self.connections.append(Connection(sock))
            arguments = self.connections[-1:]
            thread = threading.Thread(target=self._serve, args=arguments, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: Connection) -> None:
        try:
            if self._tls:
                connection.start_tls(self._tls)
            while True:
                request = connection.receive()
                with self._lock:
                    self.requests.append(request)
                    many = len(self._steps) > 1
                    step = self._steps.popleft() if many else self._steps[0]
                    connection.busy = True
                step(connection, request)
                connection.busy = False
        except OSError:
            pass  # either side has closed the connection
        except Exception as error:  # noqa: BLE001 -- raised in the main thread
            self._failures.append(error)
        finally:
            connection.close()
