"""The models shared by all resources: `EndUser` and `ResponseInfo`."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from plastiq_async.errors import InvalidArgumentError
from plastiq_async.models import EndUser
from tests.support.errors import frames_of
from tests.support.models import SECRET, make_info
from tests.support.private_texts import assert_untold


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, EndUser(user_agent=None, ip=None, device_id=None)),
        ({"ip": "2001:DB8::0:1"}, EndUser(ip="2001:db8::1")),
        ({"user_agent": "a b", "device_id": "c"}, None),
    ],
)
def test_end_user(given: dict[str, str], kept: EndUser | None) -> None:
    """Every attribute of an end user is optional, and the IP address is normalised."""
    end_user = EndUser(**given)
    assert end_user == (kept or end_user)
    assert attrs.asdict(end_user).keys() >= given.keys()
    if kept is None:
        assert given.items() <= attrs.asdict(end_user).items()


@pytest.mark.parametrize("name", ["user_agent", "ip", "device_id"])
@pytest.mark.parametrize("value", ["", " ", "s3cr3t\r\nX: y", "s3cr3t\u00e9", 5, b"a"])
def test_end_user_refused(name: str, value: Any) -> None:
    """An invalid header value is rejected by name, and the error does not repeat it."""
    with pytest.raises(InvalidArgumentError, match=rf"^{name} must be") as info:
        EndUser(**{name: value})
    assert "s3cr3t" not in str(info.value)


def test_end_user_in_frames() -> None:
    """No frame of a failed constructor holds the other values."""
    with pytest.raises(InvalidArgumentError) as info:
        EndUser(device_id="s3cr3t", ip="s3cr3t")
    assert_untold(frames_of(info.value), ["s3cr3t"])


def test_headers_hidden() -> None:
    """The repr of a response does not show its headers."""
    assert SECRET not in repr(make_info())
