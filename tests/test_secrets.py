"""Secrets of requests: finding them, masking them in texts, hiding them in bodies."""

from __future__ import annotations

import copy
import enum
import inspect
import pickle
import traceback
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from plastiq_async._codec import encode, wire
from plastiq_async._secrets import (
    SECRET,
    Body,
    encode_body,
    forget_arguments,
    forget_frames,
    forget_secrets_in_copies,
    hide,
    mask,
    secrets_in,
)
from plastiq_async.errors import InvalidArgumentError

CARD = "4242424242424242"
CVV = "123"
UUID_TEXT = "8f51c396-1234-49a6-ba5a-123456789012"


@attrs.frozen(kw_only=True)
class Card:
    """A card with two secrets."""

    holder: str = "Ada"
    number: str = attrs.field(default=CARD, repr=False, metadata=SECRET)
    code: str | None = attrs.field(
        default=CVV, repr=False, metadata=SECRET | wire("cvv")
    )


@attrs.frozen(kw_only=True)
class Upload:
    """A form whose fields are all secret."""

    fields: Mapping[str, str] = attrs.field(repr=False, metadata=SECRET)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Card(), {CARD, CVV}),
        (Card(code=None), {CARD}),
        ({"data": [Card(code="9"), (Card(),)], "x": "y"}, {CARD, CVV, "9"}),
        (Upload(fields={"Key": "a", "Policy": "b"}), {"a", "b"}),
        ({"number": CARD}, set()),
        ("text", set()),
        (None, set()),
    ],
)
def test_secrets_in(value: object, expected: set[str]) -> None:
    """The secrets of a value are the marked fields of all objects in it."""
    assert secrets_in(value) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"card {CARD} declined", "card (masked) declined"),
        ("4242 4242 4242 4242, 4242-4242-4242-4242", "(masked), (masked)"),
        ("4242 - 4242 4242\u00a04242.", "(masked)."),
        (f"x{CARD} {CARD}5 1{CARD}", f"x{CARD} {CARD}5 1{CARD}"),
        ("4242 4242 4242 42429", "4242 4242 4242 42429"),
        ("cvv=123", "cvv=(masked)"),
        ("cvv_123", "cvv_(masked)"),
        ('{"cvv":"123"}', '{"cvv":"(masked)"}'),
        ("1234 0123 a123 123b \u0661123", "1234 0123 a123 123b \u0661123"),
        ("1 2 3 1-2-3", "1 2 3 1-2-3"),
        ("123-123", "(masked)-(masked)"),
        (f"payer {UUID_TEXT}: 123", f"payer {UUID_TEXT}: (masked)"),
        ("8f51c396-123-49a6-ba5a-123456789012", None),
        ("", ""),
    ],
)
def test_mask(text: str, expected: str | None) -> None:
    """Whole tokens are masked, also numbers written in groups, but not UUIDs."""
    if expected is None:  # not a UUID, because a group is too short
        expected = text.replace("-123-", "-(masked)-")
    assert mask(text, {CARD, CVV}) == expected


@pytest.mark.parametrize(
    ("secrets", "text", "expected"),
    [
        ((), "123", "123"),
        (("", " "), "a  b", "a  b"),
        (("49a6", "123456789012", "8f51c396"), UUID_TEXT, UUID_TEXT),
        (("9912345678",), "99 12345678-1234-49a6-ba5a-123456789012", None),
        ((UUID_TEXT,), f"key {UUID_TEXT}!", "key (masked)!"),
        ((f"a/{UUID_TEXT}",), f"a/{UUID_TEXT} {UUID_TEXT}", f"(masked) {UUID_TEXT}"),
        ((f"a/{UUID_TEXT}",), f"ba/{UUID_TEXT}", f"ba/{UUID_TEXT}"),
        (
            ("12345678-1234-1234-1234-123456789012",),
            "12345678 1234 1234 1234 123456789012",
            "(masked)",
        ),
        (("Ada", "Ada Lovelace"), "Ada Lovelace, Ada", "(masked), (masked)"),
        (("a+b/c=",), "x=a+b/c=; xa+b/c=", "x=(masked); xa+b/c="),
        (("#1",), "id#1 #12", "id(masked) #12"),
        (("123-45-6789",), "123456789 123 45 6789", "(masked) (masked)"),
        ((" 4242 ",), "4242", "(masked)"),
        (("masked", "x"), "x masked", "(masked) (masked)"),
    ],
)
def test_mask_others(secrets: tuple[str, ...], text: str, expected: str | None) -> None:
    """Secrets of every format are masked literally, the longest first."""
    assert mask(text, secrets) == (text if expected is None else expected)


WORDS = st.text("abcXYZ0189", min_size=1, max_size=12)
GLUE = st.sampled_from([" ", "  ", ", ", "-", ": ", '"', "_", "(", "\n"])


@pytest.mark.slow
@given(
    secret=st.text("0123456789", min_size=3, max_size=19) | WORDS,
    words=st.lists(st.tuples(WORDS | st.uuids().map(str), GLUE), max_size=5),
    data=st.data(),
)
def test_no_secret_survives(
    secret: str, words: list[tuple[str, str]], data: st.DataObject
) -> None:
    """No secret survives masking, whether written as one token or in groups."""
    groups = secret
    if secret.isdigit() and len(secret) > 4:
        groups = data.draw(st.sampled_from([" ", "-", " - "])).join(secret)
    text = "".join(word + glue for word, glue in words) + f"; {groups} ;"
    masked = mask(text, {secret})
    assert masked.endswith("; (masked) ;")
    tokens = masked.replace("_", " ").split()
    assert secret not in tokens
    for word, _ in words:
        if len(word) == 36:
            assert word in masked


@pytest.mark.slow
@given(st.text(), st.sets(WORDS))
def test_text_without_secrets(text: str, secrets: set[str]) -> None:
    """A text that contains no secret is unchanged."""
    flat = "".join(character for character in text if character.isalnum())
    assume(not any(secret in flat for secret in secrets))
    assert mask(text, secrets) == text


@pytest.mark.slow
@given(st.uuids(), st.sets(st.text("0123456789abcdef", min_size=1, max_size=12)))
def test_uuid_is_intact(uuid: UUID, secrets: set[str]) -> None:
    """A UUID is never masked, even if one of its groups equals a secret."""
    text = f"no payer {uuid}."
    assert str(uuid) in mask(text, secrets)


@pytest.mark.slow
@given(st.lists(WORDS | GLUE).map("".join), WORDS, WORDS)
def test_length_is_hidden(text: str, one: str, other: str) -> None:
    """The mask does not reveal the length of the secret."""
    flat = "".join(character for character in text if character.isalnum())
    assume(one not in flat)
    assume(other not in flat)
    shown = [mask(f"{text} {secret}", {secret}) for secret in (one, other)]
    assert shown[0] == shown[1]


def test_body() -> None:
    """A body holds the JSON of a value and its secrets."""
    body = encode_body({"data": Card()})
    assert body.content == encode({"data": Card()})
    assert body.secrets == {CARD, CVV}
    assert Body(b"{}").secrets == frozenset()


@pytest.mark.parametrize("show", [repr, str, "{}".format, "{!r}".format, "%s".__mod__])
def test_body_is_hidden(show: Any) -> None:
    """The repr of a body and of its bytes shows only their size."""
    body = encode_body(Card())
    size = len(body.content)
    assert show(body) == f"<Body of {size} bytes>"
    assert show(body.content) == f"<{size} bytes>"
    assert show([body]).startswith("[<Body")


def test_body_in_a_crash_report() -> None:
    """A traceback with local variables does not show the body."""

    def send(body: Body, content: bytes) -> None:
        raise ConnectionError

    body = encode_body(Card())
    with pytest.raises(ConnectionError) as info:
        send(body, body.content)
    frames = traceback.TracebackException.from_exception(
        info.value, capture_locals=True
    )
    text = "".join(frames.format())
    assert "<Body of " in text
    assert CARD not in text


def test_body_is_bytes() -> None:
    """The content of a body behaves as bytes and can be pickled."""
    content = encode_body(Card()).content
    assert isinstance(content, bytes)
    assert pickle.loads(pickle.dumps(content)) == content  # noqa: S301 -- our own
    assert type(bytes(content)) is bytes


class Token(str, enum.Enum):  # noqa: UP042 -- its str() is not the value
    """An enumeration of strings."""

    FIRST = "t0k3n"


@pytest.mark.parametrize("text", ["t0k3n", Token.FIRST])
def test_hide(text: str) -> None:
    """A hidden string is the same string, but its repr shows nothing of it."""
    hidden = hide(text)
    assert hidden == "t0k3n"
    assert f"Bearer {hidden}" == "Bearer t0k3n"
    assert str(hidden) == "t0k3n"
    assert repr([hidden, {"a": hide(hidden)}]) == "['...', {'a': '...'}]"
    assert pickle.loads(pickle.dumps(hidden)) == "t0k3n"  # noqa: S301 -- our own


@pytest.mark.parametrize("value", [None, 1, b"bytes", len])
def test_hide_others(value: object) -> None:
    """What is no string is returned unchanged."""
    assert hide(value) is value


def raised(error: Exception, cause: BaseException | None = None) -> Exception:
    """Return `error` with a traceback and perhaps a cause."""
    with pytest.raises(type(error)):
        raise error from cause
    return error


def test_forget_frames() -> None:
    """Causes, contexts and members of groups lose their tracebacks, but not `outer`."""
    outer, member, cause = raised(OSError()), raised(KeyError()), raised(IndexError())
    group = raised(ExceptionGroup("several", [member]), cause)
    error = raised(ValueError(), group)
    error.__context__, cause.__context__ = outer, error
    forget_frames(error, outer)
    for one in (error, group, member, cause):
        assert one.__traceback__ is None
    assert outer.__traceback__ is not None
    assert (error.__cause__, error.__context__) == (group, outer)


def positive(_: object, __: object, value: str) -> None:
    """Refuse a text that is no positive number, without naming it."""
    if not value.isdigit():
        raise InvalidArgumentError("number must have digits only")


@forget_arguments
@attrs.frozen(kw_only=True)
class Account:
    """A request with a secret that is checked."""

    number: str = attrs.field(repr=False, validator=positive)
    owner: str = "Ada"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"number": f"{CARD}x"}, InvalidArgumentError),
        ({"number": CARD, "cvc": CARD}, TypeError),
        ({"owner": CARD}, TypeError),
        ({"number": [CARD]}, AttributeError),
    ],
)
def test_forget_arguments(arguments: dict[str, Any], expected: type[Exception]) -> None:
    """No frame of a failed constructor holds its arguments."""
    with pytest.raises(expected) as info:
        Account(**arguments)
    shown = traceback.TracebackException(
        expected, info.value, info.tb.tb_next, capture_locals=True
    )
    assert CARD not in "".join(shown.format())
    assert info.value.__context__ is info.value.__cause__ is None


def test_forget_arguments_only() -> None:
    """The class is the same otherwise."""
    assert list(inspect.signature(Account).parameters) == ["number", "owner"]
    account = Account(number="42")
    assert attrs.evolve(account, owner="Bob") == Account(number="42", owner="Bob")
    assert pickle.loads(pickle.dumps(account)) == account  # noqa: S301 -- our own


def test_body_that_cannot_be_encoded() -> None:
    """The frames of the error hold no secret of the body."""
    value = {"card": Card(), "metadata": {"flag": object()}, "holder": Card()}
    with pytest.raises(TypeError, match="cannot encode object") as info:
        encode_body(value)
    shown = traceback.TracebackException(
        TypeError, info.value, info.tb.tb_next, capture_locals=True
    )
    assert CARD not in "".join(shown.format())


@forget_secrets_in_copies
@attrs.frozen(kw_only=True)
class Result:
    """A result with a secret of its own, and with a part that is a request, too."""

    card: Card | None = None
    number: str | None = attrs.field(default=None, repr=False, metadata=SECRET)
    _count: int = 0


def test_forget_secrets_in_copies() -> None:
    """Copies and pickles of a result have everything but its secrets."""
    result = Result(card=Card(holder="Bob"), number=CARD, count=2)
    bare = Card(holder="Bob", number=None, code=None)  # type: ignore[arg-type]  # so
    expected = Result(card=bare, count=2)
    pickled = pickle.dumps(result)
    assert CARD.encode() not in pickled
    assert pickle.loads(pickled) == expected  # noqa: S301 -- our own
    assert copy.copy(result) == copy.deepcopy(result) == expected
    assert pickle.loads(pickle.dumps(Card())) == Card()  # noqa: S301 -- a request is whole
