"""`choose_proxy`: the proxy of a session, from the argument or the environment."""

import ssl
from contextlib import suppress
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from plastiq_async._hosts import allows_http
from plastiq_async._missing import explain_missing
from plastiq_async._secrets import hide
from plastiq_async._transport.no_proxy import is_exempt
from plastiq_async._validate import is_header_value, is_token
from plastiq_async.errors import ConfigurationError

_SCHEMES = ("http", "https", "socks5", "socks5h")
_HTTPS_PORT = 443
_MAX_PORT = 65_535


def choose_proxy(
    proxy: str | httpx.Proxy | None,
    url: str,
    *,
    transport: str,
    context: ssl.SSLContext,
    http_hosts: frozenset[str],
    trust_env: bool,
) -> httpx.Proxy | None:
    """Return the proxy for `url`, or None to connect without one.

    Args:
        proxy: The session's argument.
        url: The API base URL, or another URL to which secrets are sent.
        transport: The name of the transport that will use the proxy.
        context: The session's TLS context, for a proxy that has none of its own.
        http_hosts: The hosts that may be used over http, besides loopback ones.
        trust_env: Whether the proxy may come from the environment.

    Raises:
        ConfigurationError: The proxy is not usable. The error names the setting, and
            not its value, which may hold a password.
    """
    server = urlsplit(url)
    name = "proxy"
    if proxy is None and trust_env and server.scheme == "https":
        # Over http, the proxy would read the secrets. Such a URL is for hosts to which
        # nobody else can listen.
        name, proxy = _environment_proxy(server)
    if proxy is None:
        return None
    checked = _parse_proxy(name, proxy)
    if server.scheme == "http" and not allows_http(checked.url.host, http_hosts):
        problem: str | None = (
            "it would read the secrets in requests, because the server's URL is one of "
            "http, which is for loopback hosts only"
        )
    else:
        problem = _find_problem(checked, transport, context)
    if problem:
        raise ConfigurationError(f"{name} is not usable: {problem}")
    if _is_socks(checked):
        _check_socks(name)
    elif checked.url.scheme == "https" and checked.ssl_context is None:
        # httpx would use its default context, and so ignore the session's.
        return httpx.Proxy(
            checked.url, ssl_context=context, auth=checked.auth, headers=checked.headers
        )
    return checked


def address_of(url: httpx.URL) -> str:
    """Return host and port of a URL, without its credentials."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    default = {"http": 80, "https": _HTTPS_PORT}.get(url.scheme, 1080)
    return f"{host}:{url.port or default}"


def _environment_proxy(server: SplitResult) -> tuple[str, str | None]:
    """Return the name and the value of the variable that sets a proxy for `server`.

    On macOS and Windows, the system's settings stand in for the variables.
    """
    proxies = {scheme: hide(url) for scheme, url in getproxies().items()}
    name = "HTTPS_PROXY" if proxies.get("https") else "ALL_PROXY"
    proxy = proxies.get("https") or proxies.get("all")
    if not proxy:
        return name, None
    if "no" in proxies:
        port = server.port or _HTTPS_PORT
        direct = is_exempt(server.hostname or "", port, proxies["no"])
    else:
        direct = proxy_bypass(server.netloc)
    if direct:
        return name, None
    return name, proxy if "://" in proxy else hide(f"http://{proxy}")


def _parse_proxy(name: str, proxy: str | httpx.Proxy) -> httpx.Proxy:
    """Return `proxy` as an `httpx.Proxy` whose URL can be connected to."""
    problem = "it is not a valid URL, such as http://proxy.example:3128"
    with suppress(httpx.InvalidURL, ValueError, TypeError):
        url = proxy.url if isinstance(proxy, httpx.Proxy) else httpx.URL(proxy)
        problem = f"the scheme of its URL must be one of {', '.join(_SCHEMES)}"
        if url.scheme in _SCHEMES:
            problem = "its URL must have a valid host"
            # Both raise a ValueError if the host name is not valid.
            if url.host.encode("idna"):
                problem = f"the port of its URL must be between 1 and {_MAX_PORT}"
                if url.port is None or 0 < url.port <= _MAX_PORT:
                    return proxy if isinstance(proxy, httpx.Proxy) else httpx.Proxy(url)
    # Raised outside of the handler, so that the error has no context.
    raise ConfigurationError(f"{name} is not usable: {problem}")


def _find_problem(
    proxy: httpx.Proxy, transport: str, context: ssl.SSLContext
) -> str | None:
    """Return which part of `proxy` would be ignored or refused, or None."""
    if _is_socks(proxy) and transport == "aiohttp":
        return 'transport="aiohttp" does not support SOCKS, but transport="httpx" does'
    if _is_socks(proxy) and proxy.headers:
        return "SOCKS has no headers"
    if proxy.ssl_context and proxy.url.scheme != "https":
        return "its ssl_context has no use, because its URL is not one of https"
    if transport == "aiohttp" and proxy.ssl_context not in (None, context):
        return (
            'transport="aiohttp" uses the session\'s TLS context for the proxy, too, '
            'but transport="httpx" supports another ssl_context'
        )
    names_and_values = proxy.headers.multi_items()
    if not all(
        is_token(key) and is_header_value(value) for key, value in names_and_values
    ):
        return "the name or value of one of its headers is not valid"
    return None


def _is_socks(proxy: httpx.Proxy) -> bool:
    return proxy.url.scheme.startswith("socks")


def _check_socks(name: str) -> None:
    """Raise unless the package that httpx needs for SOCKS is installed."""
    try:
        import socksio  # noqa: F401, PLC0415 -- an optional dependency of httpx
    except ModuleNotFoundError as error:
        needed_by = f"{name} is not usable: a SOCKS proxy"
        raise explain_missing(error, "socksio", "'httpx[socks]'", needed_by) from None
