"""Fault 20: invalid settings, refused by name when the session is made.

The other half of the fault, an outage, is in `test_outage`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from plastiq_async import ConfigurationError, PlastiqSession
from tests.support.private_texts import texts_of
from tests.support.sessions import TOKEN

# Each contains "s3cr3t", except for those that are too short.
PROXIES = [
    "ftp://user:s3cr3t@127.0.0.1:9",
    "http://user:s3cr3t@127.0.0.1:port",
    "http://user:s3cr3t@127.0.0.1:0",
    "http://user:s3cr3t@127.0.0.1:65536",
    "http://user:s3cr3t@",
    "http://user:s3cr3t@[::1",
    "http://user:s3cr3t@999.1.1.1",
    "http://user:s3cr3t@xn--",
    "http://user:s3cr3t@a..example",
    f"http://user:s3cr3t@{'a' * 64}.example",
    "http://user:s3cr3t@127.0.0.1\r\nX-Smuggled: 1",
    "http://user:s3\ncr3t@127.0.0.1",
    "//user:s3cr3t@127.0.0.1",
    "http://",
]
URLS = [
    "s3cr3t",
    "ftp://s3cr3t",
    "http://s3cr3t.example",
    "https://user:s3cr3t@127.0.0.1",
    "https://127.0.0.1:s3cr3t",
    "https://s3cr3t..example",
    f"https://s3cr3t.{'a' * 64}.example",
    "https://[s3cr3t]",
    "https://s3cr3t.example/?a=b",
    "https://s3cr3t.example\r\n",
]


def refuse(setting: str, transport: Any, **options: Any) -> None:
    """Check that no session is made, and that the error names only this setting."""
    with pytest.raises(ConfigurationError, match=rf"^{setting}\b") as info:
        PlastiqSession(TOKEN, transport=transport, **options)
    for text in texts_of(info.value):
        assert "s3cr3t" not in text
        assert "s3\ncr3t" not in text


def settings(
    setting: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """Set an environment variable, or return an argument for the session."""
    if setting.islower():
        return {setting: value}
    monkeypatch.setenv(setting, value)
    return {}


@pytest.mark.parametrize("url", PROXIES)
@pytest.mark.parametrize("setting", ["proxy", "HTTPS_PROXY", "ALL_PROXY"])
def test_proxy(
    setting: str, url: str, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 20: an invalid proxy URL is refused."""
    options = settings(setting, url, monkeypatch)
    refuse(setting, transport, verify=False, **options)


def test_proxy_in_lower_case(transport: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 20: an invalid proxy in the lower-case `https_proxy` is refused."""
    monkeypatch.setenv("https_proxy", PROXIES[0])
    refuse("HTTPS_PROXY", transport, verify=False)


@pytest.mark.parametrize("setting", ["proxy", "ALL_PROXY"])
def test_proxy_of_another_kind(
    setting: str, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 20: a SOCKS proxy is refused if it is not supported."""
    monkeypatch.setitem(sys.modules, "socksio", None)
    options = settings(setting, "socks5://user:s3cr3t@127.0.0.1:9", monkeypatch)
    refuse(setting, transport, verify=False, **options)


CERTIFICATE = "-----BEGIN CERTIFICATE-----\nczNjcjN0\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize("content", [None, "", "s3cr3t", CERTIFICATE])
@pytest.mark.parametrize("setting", ["verify", "SSL_CERT_FILE"])
def test_ca_file(
    setting: str,
    content: str | None,
    transport: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fault 20: a CA file that is missing or invalid is refused."""
    path = tmp_path / "s3cr3t.pem"
    if content is not None:
        path.write_text(content)
    refuse(setting, transport, **settings(setting, str(path), monkeypatch))


@pytest.mark.parametrize(
    ("setting", "path"),
    [
        ("verify", ""),
        ("verify", "s3cr3t\0"),
        ("verify", "/s3cr3t/s3cr3t"),
        ("SSL_CERT_FILE", "/"),
        ("SSL_CERT_DIR", "/s3cr3t/s3cr3t"),
        ("SSL_CERT_DIR", os.devnull),
    ],
)
def test_ca_path(
    setting: str, path: str, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 20: a CA path that is missing or of the wrong kind is refused."""
    refuse(setting, transport, **settings(setting, path, monkeypatch))


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("setting", ["base_url", "PLASTIQ_BASE_URL"])
def test_server(
    setting: str, url: str, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 20: an invalid base URL is refused."""
    refuse(setting, transport, verify=False, **settings(setting, url, monkeypatch))


@pytest.mark.parametrize(
    "setting",
    ["PLASTIQ_ENVIRONMENT", "PLASTIQ_LOG", "environment", "transport", "middleware"],
)
def test_unknown_word(
    setting: str, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 20: an unknown value of a setting is refused."""
    options = {"transport": transport} | settings(setting, "s3cr3t", monkeypatch)
    refuse(setting, verify=False, **options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "options"),
    [
        ({"HTTP_PROXY": "ftp://"}, {}),
        ({"ALL_PROXY": "ftp://"}, {"base_url": "http://127.0.0.1:9"}),
        ({"HTTPS_PROXY": "ftp://", "NO_PROXY": ".plastiq.com"}, {}),
        ({"HTTPS_PROXY": "ftp://"}, {"proxy": "http://127.0.0.1:9"}),
        ({"HTTPS_PROXY": "ftp://", "SSL_CERT_DIR": "/s3cr3t"}, {"trust_env": False}),
        ({"SSL_CERT_FILE": "/s3cr3t"}, {"verify": False}),
        ({"SSL_CERT_FILE": "/s3cr3t"}, {"verify": "/"}),
        ({"SSL_CERT_DIR": os.pathsep.join(["/s3cr3t", "/"])}, {}),
        ({"PLASTIQ_BASE_URL": "s3cr3t"}, {"base_url": "https://127.0.0.1:9"}),
        ({"PLASTIQ_BASE_URL": "s3cr3t"}, {"environment": "sandbox"}),
        ({"PLASTIQ_ENVIRONMENT": "s3cr3t"}, {"environment": "sandbox"}),
        ({"PLASTIQ_ACCESS_TOKEN": "s3cr3t s3cr3t"}, {}),
    ],
)
async def test_unused(
    variables: dict[str, str],
    options: dict[str, Any],
    transport: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fault 20: a variable that another setting overrides is not validated."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    await PlastiqSession(TOKEN, transport=transport, **options).aclose()
