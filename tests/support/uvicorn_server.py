"""A uvicorn server in a thread."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn


@contextmanager
def in_uvicorn(
    app: Any, *, listener: socket.socket | None = None, **settings: Any
) -> Iterator[str]:
    """Serve `app` with uvicorn in a thread, and yield its URL if it uses TCP."""
    listener = listener or socket.create_server(("127.0.0.1", 0), backlog=1024)
    options: dict[str, Any] = {
        "log_config": None,
        "proxy_headers": False,
        "timeout_graceful_shutdown": 1,
        "ws": "wsproto",
        **settings,
    }
    config = uvicorn.Config(app, **options)
    server = uvicorn.Server(config)
    with listener:
        arguments = {"sockets": [listener]}
        thread = threading.Thread(target=server.run, kwargs=arguments, daemon=True)
        thread.start()
        try:
            yield "http://{}:{}".format(*listener.getsockname())
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()
