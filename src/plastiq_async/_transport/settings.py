"""TLS context and socket options of a transport."""

import errno
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx

from plastiq_async.errors import ConfigurationError

# Shorter than the 60 seconds after which many load balancers close idle connections.
KEEP_ALIVE = 55.0

# NAT gateways drop idle connections silently after minutes, so probe after 60 seconds.
# The options' names differ by platform; macOS calls the first TCP_KEEPALIVE.
SOCKET_OPTIONS = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), 60)
        for name in ("TCP_KEEPIDLE", "TCP_KEEPALIVE", "TCP_KEEPINTVL")
        if hasattr(socket, name)
    ),
]


def make_ssl_context(
    verify: bool | str | ssl.SSLContext, *, trust_env: bool
) -> ssl.SSLContext:
    """Return the TLS context for `verify`."""
    if isinstance(verify, ssl.SSLContext):
        return verify
    if isinstance(verify, (str, os.PathLike)):
        return _load("verify", lambda: _load_certificates(verify))
    if not isinstance(verify, bool):
        msg = "verify is not usable: it must be a bool, a path or an ssl.SSLContext"
        raise ConfigurationError(msg)
    # httpx reads the first of these variables that is set.
    variables = ("SSL_CERT_FILE", "SSL_CERT_DIR") if trust_env else ()
    name = next((name for name in variables if os.environ.get(name)), "verify")

    def make_default_context() -> ssl.SSLContext:
        if verify and name == "SSL_CERT_DIR":
            # OpenSSL does not check whether they exist.
            paths = os.environ[name].split(os.pathsep)
            if not any(Path(path).is_dir() for path in paths):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        return httpx.create_ssl_context(verify=verify, trust_env=trust_env)

    return _load(name, make_default_context)


def _load(name: str, make: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """Return the context that `make` loads from the path in the setting `name`."""
    try:
        return make()
    except OSError as error:
        reason = error.strerror or type(error).__name__
    except ValueError:
        reason = "the path is empty or has a null character"
    # Raised outside of the handler, so that the error has no context with the path.
    raise ConfigurationError(f"{name} is not usable: {reason}")


def _load_certificates(path: str | os.PathLike[str]) -> ssl.SSLContext:
    """Return a context that trusts only the CA certificates at `path`."""
    if not os.fspath(path):
        raise ValueError  # given an empty path, OpenSSL trusts its default authorities
    if Path(path).is_dir():
        return ssl.create_default_context(capath=path)
    return ssl.create_default_context(cafile=path)
