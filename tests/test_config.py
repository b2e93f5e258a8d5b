"""What a session is made with: arguments first, then the environment, then defaults."""

from __future__ import annotations

import math
import traceback
from types import SimpleNamespace
from typing import Any

import pytest

from plastiq_async import ConfigurationError, PlastiqSession
from plastiq_async._config import (
    check_count,
    check_http_hosts,
    check_max_retries,
    check_timeout,
    resolve_access_token,
    resolve_base_url,
)

SANDBOX = "https://connect.sandbox.plastiq.com/api"
PRODUCTION = "https://connect.plastiq.com/api"
BAD_TOKENS = ["", " ", "a b", " s3cr3t", "s3cr3t\n", "s3cr3t\r\nX: y", "s3cr3t\0"]
BAD_URLS = [
    (" https://a.example", "a URL in printable ASCII"),
    ("https://a.example/a b", "a URL in printable ASCII"),
    ("https://a.example\n", "a URL in printable ASCII"),
    ("https://a.ex\r\nample", "a URL in printable ASCII"),
    ("https://\u00e9.example", "a URL in printable ASCII"),
    ("a.example", "an absolute URL"),
    ("/api", "an absolute URL"),
    ("//a.example", "an absolute URL"),
    ("https://", "an absolute URL"),
    ("https:///api", "an absolute URL"),
    ("https://:443", "an absolute URL"),
    ("ftp://a.example", "an absolute URL"),
    ("file:///etc", "an absolute URL"),
    ("javascript:alert(1)", "an absolute URL"),
    ("https://a.example:0", "an absolute URL"),
    ("https://a.example:65536", "an absolute URL"),
    ("https://a.example:x", "an absolute URL"),
    ("https://[::1", "an absolute URL"),
    ("https://user@a.example", "no user name"),
    ("https://@a.example", "no user name"),
    ("https://u:s3cr3t@a.example", "no user name"),
    ("https://a.example?", "no user name"),
    ("https://a.example/?s3cr3t=1", "no user name"),
    ("https://a.example/#", "no user name"),
    ("http://a.example", "a URL of https"),
    ("HTTP://a.example", "a URL of https"),
    ("http://connect.plastiq.com/api", "a URL of https"),
    ("http://10.0.0.1", "a URL of https"),
    ("http://127.1", "a URL of https"),
    ("http://127.0.0.1.", "a URL of https"),
    ("http://[::ffff:10.0.0.1]", "a URL of https"),
    ("http://a.example\\.localhost", "a URL of https"),
    ("http://localhost..", "an absolute URL"),
    ("http://0.0.0.0", "a URL of https"),
    ("http://127.0.0.1.a.example", "a URL of https"),
    ("http://localhost.a.example", "a URL of https"),
    ("http://[2001:db8::1]", "a URL of https"),
]


def load(**changes: Any) -> SimpleNamespace:
    """Return the settings of a session that is made with `changes`."""
    arguments: dict[str, Any] = {
        "access_token": "token",
        "environment": None,
        "base_url": None,
        "allow_http_hosts": (),
        "timeout": 30.0,
        "max_retries": 2,
        "max_connections": 100,
    }
    given = arguments | changes
    return SimpleNamespace(
        access_token=resolve_access_token(given["access_token"]),
        base_url=resolve_base_url(
            given["base_url"],
            given["environment"],
            check_http_hosts(given["allow_http_hosts"]),
        ),
        timeout=check_timeout(given["timeout"]),
        max_retries=check_max_retries(given["max_retries"]),
        max_connections=check_count(
            "max_connections", given["max_connections"], least=1
        ),
    )


def refusal(**changes: Any) -> str:
    """Return what is said about `changes`, which must be refused."""
    with pytest.raises(ConfigurationError) as info:
        load(**changes)
    assert info.value.method is None
    text = "".join(traceback.format_exception(info.value))
    message: str = info.value.args[0]
    assert message in text
    assert info.value.__cause__ is None
    assert info.value.__context__ is None or info.value.__suppress_context__
    return message


def test_settings() -> None:
    """What is given and usable is kept."""
    config = load(timeout=1, max_retries=0, max_connections=1)
    assert config == SimpleNamespace(
        access_token="token",
        base_url=SANDBOX,
        timeout=1,
        max_retries=0,
        max_connections=1,
    )


def test_token_of_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The token comes from the environment, unless it is given."""
    monkeypatch.setenv("PLASTIQ_ACCESS_TOKEN", "inherited")
    assert load(access_token=None).access_token == "inherited"
    assert load(access_token="given").access_token == "given"


def test_token_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider is kept as it is, unasked, before the environment's token."""

    async def provide() -> str:
        pytest.fail("the provider was asked")

    monkeypatch.setenv("PLASTIQ_ACCESS_TOKEN", "inherited")
    assert load(access_token=provide).access_token is provide


@pytest.mark.parametrize("inherited", [None, ""])
def test_no_token(monkeypatch: pytest.MonkeyPatch, inherited: str | None) -> None:
    """Without any token, the error says where one may come from."""
    if inherited is not None:
        monkeypatch.setenv("PLASTIQ_ACCESS_TOKEN", inherited)
    message = refusal(access_token=None)
    assert message == "no access token: pass access_token or set PLASTIQ_ACCESS_TOKEN"


@pytest.mark.parametrize("token", [*BAD_TOKENS, "s3cr3t\u00e9", 5, b"s3cr3t"])
def test_bad_token(token: object) -> None:
    """A token that no header can hold is refused, and not repeated."""
    message = refusal(access_token=token)
    assert message.startswith("access_token must be a string of visible ASCII")
    assert "s3cr3t" not in message


@pytest.mark.parametrize("token", [" ", "a b", "s3cr3t\n"])
def test_bad_token_of_environment(monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    """A bad token of the environment is refused by the variable's name."""
    monkeypatch.setenv("PLASTIQ_ACCESS_TOKEN", token)
    message = refusal(access_token=None)
    assert message.startswith("PLASTIQ_ACCESS_TOKEN must be a string of visible ASCII")
    assert "s3cr3t" not in message


@pytest.mark.parametrize(
    ("arguments", "variables", "base_url"),
    [
        ({}, {}, SANDBOX),
        ({"environment": "sandbox"}, {}, SANDBOX),
        ({"environment": "production"}, {}, PRODUCTION),
        ({"base_url": "https://a.example"}, {}, "https://a.example"),
        (
            {"base_url": "https://a.example", "environment": "production"},
            {"BASE_URL": "https://b.example", "ENVIRONMENT": "sandbox"},
            "https://a.example",
        ),
        (
            {"environment": "production"},
            {"BASE_URL": "https://b.example", "ENVIRONMENT": "sandbox"},
            PRODUCTION,
        ),
        (
            {},
            {"BASE_URL": "https://b.example", "ENVIRONMENT": "production"},
            "https://b.example",
        ),
        ({}, {"ENVIRONMENT": "production"}, PRODUCTION),
        ({}, {"ENVIRONMENT": "sandbox"}, SANDBOX),
        ({}, {"BASE_URL": "", "ENVIRONMENT": ""}, SANDBOX),
        ({}, {"BASE_URL": "", "ENVIRONMENT": "production"}, PRODUCTION),
    ],
)
def test_server(
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, str],
    variables: dict[str, str],
    base_url: str,
) -> None:
    """The first that is set of URL, environment, and their variables is the server."""
    for name, value in variables.items():
        monkeypatch.setenv(f"PLASTIQ_{name}", value)
    assert load(**arguments).base_url == base_url


@pytest.mark.parametrize("value", ["", "staging", "SANDBOX", 5, [], {}])
def test_bad_environment(value: object) -> None:
    """An unknown environment is refused with those that there are."""
    message = refusal(environment=value)
    assert message == "environment must be one of sandbox, production"


def test_bad_environment_of_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown environment in the variable is refused by the variable's name."""
    monkeypatch.setenv("PLASTIQ_ENVIRONMENT", "staging")
    message = refusal()
    assert message == "PLASTIQ_ENVIRONMENT must be one of sandbox, production"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://a.example/api", "https://a.example/api"),
        ("https://a.example/api//", "https://a.example/api"),
        ("HTTPS://a.example:8443/", "HTTPS://a.example:8443"),
        ("http://localhost:8642/api", "http://localhost:8642/api"),
        ("http://LOCALHOST", "http://LOCALHOST"),
        ("http://127.0.0.1:8642", "http://127.0.0.1:8642"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://[::1]:8642", "http://[::1]:8642"),
        ("http://[0:0:0:0:0:0:0:1]", "http://[0:0:0:0:0:0:0:1]"),
        ("http://[::ffff:127.0.0.1]", "http://[::ffff:127.0.0.1]"),
        ("http://localhost.:8642", "http://localhost.:8642"),
        ("http://plastiq.localhost", "http://plastiq.localhost"),
        ("http://A.B.LOCALHOST:1", "http://A.B.LOCALHOST:1"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]"),
    ],
)
def test_base_url(given: str, kept: str) -> None:
    """Https to anywhere and http to this machine are kept, without the last slash."""
    assert load(base_url=given).base_url == kept


ALLOWED = ["plastiq-fake", "PLASTIQ-FAKE.", "10.0.0.5", "[fd00:0::5]"]


@pytest.mark.parametrize("setting", ["base_url", "PLASTIQ_BASE_URL"])
@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://plastiq-fake:8642/api", True),
        ("http://Plastiq-Fake.", True),
        ("http://10.0.0.5", True),
        ("http://[::ffff:10.0.0.5]", True),
        ("http://[fd00::5]:8642", True),
        ("http://127.0.0.1", True),
        ("http://a.plastiq-fake", False),
        ("http://plastiq-fake.example", False),
        ("http://plastiq-fake@a.example", False),
        ("http://10.0.0.6", False),
        ("http://[fd00::6]", False),
    ],
)
def test_allowed_hosts(
    setting: str, url: str, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Http to the hosts that the developer names is kept, and to no other."""
    changes: dict[str, Any] = {"allow_http_hosts": ALLOWED}
    if setting == "base_url":
        changes[setting] = url
    else:
        monkeypatch.setenv(setting, url)
    if allowed:
        assert load(**changes).base_url == url
    else:
        assert refusal(**changes).startswith(f"{setting} must ")


def test_allowed_hosts_in_code_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable allows a host, and the refusal does not advise to."""
    monkeypatch.setenv("PLASTIQ_ALLOW_HTTP_HOSTS", "a.example")
    assert "allow_http_hosts" not in refusal(base_url="http://a.example")


@pytest.mark.parametrize(
    "value",
    [
        "plastiq-fake",
        b"plastiq-fake",
        None,
        5,
        [""],
        ["a", None],
        [5],
        [b"a"],
        ["*"],
        ["*.example"],
        ["http://s3cr3t"],
        ["s3cr3t:8642"],
        ["user:s3cr3t@a"],
        ["a b"],
        ["\u00e9.example"],
    ],
)
def test_bad_allowed_hosts(value: object) -> None:
    """What is no iterable of host names is refused, and not repeated."""
    message = refusal(allow_http_hosts=value)
    assert message.startswith("allow_http_hosts must be an iterable of host names")
    assert "s3cr3t" not in message


@pytest.mark.parametrize("value", [(), [], {"a"}, frozenset({"a"}), iter(["a", "a"])])
def test_iterables_of_allowed_hosts(value: object) -> None:
    """Any iterable will do."""
    assert load(allow_http_hosts=value).base_url == SANDBOX


def test_length_of_base_url() -> None:
    """A URL may have 2000 characters, and the error of a longer one says so."""
    longest = "https://a.example/".ljust(2000, "a")
    assert load(base_url=longest).base_url == longest
    assert load(base_url=longest[:-1]).base_url == longest[:-1]
    for url in (longest + "a", longest + "a" * 1000):
        message = refusal(base_url=url)
        assert message == "base_url must be a URL in printable ASCII, 2000 long at most"


@pytest.mark.parametrize(("url", "problem"), BAD_URLS)
def test_bad_base_url(url: str, problem: str) -> None:
    """A URL that is no safe address of a server is refused, and not repeated."""
    message = refusal(base_url=url)
    assert message.startswith("base_url must ")
    assert problem in message
    assert "s3cr3t" not in message


@pytest.mark.parametrize("url", ["", 5, b"https://a.example"])
def test_no_base_url(url: object) -> None:
    """What is no text, or an empty one, is no URL."""
    assert refusal(base_url=url).startswith(
        "base_url must be a URL in printable ASCII, "
    )


@pytest.mark.parametrize(("url", "problem"), BAD_URLS)
def test_bad_base_url_of_environment(
    monkeypatch: pytest.MonkeyPatch, url: str, problem: str
) -> None:
    """The URL of the environment has to be as safe, and goes by its variable."""
    monkeypatch.setenv("PLASTIQ_BASE_URL", url)
    message = refusal()
    assert message.startswith("PLASTIQ_BASE_URL must ")
    assert problem in message
    assert "s3cr3t" not in message


@pytest.mark.parametrize(
    "url", ["https://999.1.1.1", "https://[::1]s3cr3t", "https://[v1.s3cr3t]"]
)
def test_unusable_base_url(url: str) -> None:
    """A URL that only the HTTP client cannot read is refused in the same way."""
    with pytest.raises(ConfigurationError, match=r"^base_url ") as info:
        PlastiqSession("token", base_url=url)
    assert "s3cr3t" not in "".join(traceback.format_exception(info.value))


@pytest.mark.parametrize(
    "value",
    [0, -1, math.nan, math.inf, pytest.param(10**400, id="huge"), True, "30", None],
)
def test_bad_timeout(value: object) -> None:
    """A timeout that nobody can wait for is refused."""
    message = refusal(timeout=value)
    assert message == "timeout must be a positive, finite number of seconds"


@pytest.mark.parametrize(
    ("name", "least"), [("max_retries", 0), ("max_connections", 1)]
)
def test_counts(name: str, least: int) -> None:
    """A count is an integer from its least on."""
    assert getattr(load(**{name: least}), name) == least
    for value in (least - 1, -7, 1.0, math.nan, True, "2", None):
        message = refusal(**{name: value})
        assert message == f"{name} must be an integer of {least} or more"
