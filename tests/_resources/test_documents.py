"""Documents with the fake in memory: places for uploads, and uploads to it."""

from __future__ import annotations

import copy
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NoReturn, TypeAlias
from uuid import UUID, uuid4

import pytest

from plastiq_async import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    Documents,
    DocumentUpload,
    DocumentUploadError,
    EndUser,
    InternalServerError,
    InvalidArgumentError,
    NotFoundError,
    PermissionDeniedError,
    trace_context,
)
from plastiq_async.testing import FakePlastiq, StoredDocument
from tests.support.documents import CONTENT, PRIVATE_FIELDS, make_place
from tests.support.errors import error_of, frames_of
from tests.support.internals import add_intent
from tests.support.private_texts import assert_untold, logged, texts_of
from tests.support.sessions import fake_session

TRACE_ID = "fe278caa-e01d-4910-b975-5c19c21a6d8e"
SOME_ID = "0e2dcb1c-bd21-4ba5-b2c8-0e7ea0ac2a5d"

quickly = pytest.mark.usefixtures("quick_retries")


@pytest.fixture
async def documents(fake_plastiq: FakePlastiq) -> AsyncIterator[Documents]:
    """Return the resource of a session with the fake."""
    async with fake_session(fake_plastiq) as session:
        yield session.documents


async def create(
    documents: Documents, fake: FakePlastiq, **changes: Any
) -> DocumentUpload:
    """Ask for a place for the document of a payment intent."""
    arguments: dict[str, Any] = {
        "payer_id": fake.payer_id,
        "filename": "invoice.pdf",
        "payment_intent_id": add_intent(fake),
    }
    return await documents.create(**arguments | changes)


def bodies_of(fake: FakePlastiq) -> list[Any]:
    """Return the JSON bodies that the fake got."""
    return [json.loads(request.body) for request in fake.requests]


# --- create ---


async def test_create(documents: Documents, fake_plastiq: FakePlastiq) -> None:
    """A place has a URL and form fields, and the name of the file."""
    intent_id = add_intent(fake_plastiq)
    place = await documents.create(
        fake_plastiq.payer_id,
        filename="Invoice 123.PDF",
        payment_intent_id=intent_id,
        trace_id=TRACE_ID,
    )
    (request,) = fake_plastiq.requests
    assert (request.method, request.path) == ("POST", "/api/documents")
    assert request.headers["trace-id"] == TRACE_ID
    assert "idempotency-key" not in request.headers
    assert bodies_of(fake_plastiq) == [
        {
            "type": "INVOICE",
            "fileType": "pdf",
            "filename": "Invoice 123.PDF",
            "payer": {"id": str(fake_plastiq.payer_id)},
            "paymentIntent": {"id": str(intent_id)},
        }
    ]
    assert type(place) is DocumentUpload
    assert place.upload_url.startswith("http://127.0.0.1/")
    assert place.fields["success_action_status"] == "201"
    assert place.filename == "Invoice 123.PDF"
    assert place.response.trace_id == UUID(TRACE_ID)


@pytest.mark.parametrize(
    ("argument", "member"),
    [
        ("payment_id", "payment"),
        ("payment_intent_id", "paymentIntent"),
        ("recipient_id", "recipient"),
    ],
)
async def test_target(
    argument: str, member: str, documents: Documents, fake_plastiq: FakePlastiq
) -> None:
    """A document belongs to a payment, a payment intent or a recipient."""
    target: dict[str, Any] = {argument: SOME_ID}
    call = documents.create(
        fake_plastiq.payer_id, filename="x", file_type="docx", **target
    )
    assert isinstance(await error_of(call), BadRequestError)  # it does not exist
    (body,) = bodies_of(fake_plastiq)
    assert body[member] == {"id": SOME_ID}
    assert body["fileType"] == "docx"
    assert body.keys() == {"type", "fileType", "filename", "payer", member}


@pytest.mark.parametrize("type_", ["doc", "docx", "gif", "jpeg", "jpg", "xls", "xlsx"])
async def test_file_type(
    type_: str, documents: Documents, fake_plastiq: FakePlastiq
) -> None:
    """The file type is the extension of the name, or as given."""
    await create(documents, fake_plastiq, filename=f"a.b.{type_.upper()}")
    await create(documents, fake_plastiq, filename="a.png", file_type=type_)
    assert [body["fileType"] for body in bodies_of(fake_plastiq)] == [type_] * 2


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"payer_id": "s3cr3t"}, "payer_id must be a UUID"),
        ({"filename": ""}, "filename must be"),
        ({"filename": "s3cr3t\n.pdf"}, "filename must be"),
        ({"filename": 7}, "filename must be"),
        ({"filename": "s3cr3t.png"}, 'the extension of filename must be "doc" or '),
        ({"filename": "s3cr3t"}, 'the extension of filename must be "doc" or '),
        ({"file_type": "s3cr3t"}, 'file_type must be "doc" or '),
        ({"file_type": ["pdf"]}, 'file_type must be "doc" or '),
        ({"type": "s3cr3t"}, 'type must be "INVOICE"'),
        ({"type": None}, 'type must be "INVOICE"'),
        ({"payment_intent_id": None}, "give exactly one of payment_id, payment_int"),
        ({"payment_id": SOME_ID}, "give exactly one of payment_id, payment_intent"),
        ({"recipient_id": "s3cr3t"}, "recipient_id must be a UUID"),
        ({"payment_intent_id": ""}, "payment_intent_id must be a UUID"),
        ({"trace_id": "s3cr3t"}, "trace_id must be"),
    ],
)
async def test_refused_argument(
    changes: dict[str, Any], text: str, documents: Documents, fake_plastiq: FakePlastiq
) -> None:
    """An invalid argument is refused by its name before anything is sent."""
    with pytest.raises(InvalidArgumentError, match=f"^{text}") as info:
        await create(documents, fake_plastiq, **changes)
    assert "s3cr3t" not in str(info.value)
    assert fake_plastiq.requests == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (500, InternalServerError),
    ],
)
async def test_documented_error(
    status: int, kind: type[APIStatusError], fake_plastiq: FakePlastiq
) -> None:
    """Each documented status of a creation is an error of its class."""
    fake_plastiq.fail_next(status, on="documents.create")
    async with fake_session(fake_plastiq, max_retries=0) as session:
        error = await error_of(create(session.documents, fake_plastiq))
    assert type(error) is kind
    assert (error.path, error.outcome_unknown) == ("/documents", False)
    assert error.next_step == ("again" if status == 500 else "fix")


Order: TypeAlias = Callable[[FakePlastiq, str], None]
ORDERS: dict[str, Order] = {
    "429": lambda fake, on: fake.fail_next(429, on=on),
    "500": lambda fake, on: fake.fail_next(500, on=on),
    "503": lambda fake, on: fake.fail_next(503, on=on),
    "503 after": lambda fake, on: fake.fail_next(503, on=on, after_processing=True),
    "drop": lambda fake, on: fake.drop_next(on=on),
    "drop after": lambda fake, on: fake.drop_next(on=on, after_processing=True),
    "refuse": lambda fake, on: fake.refuse_next(on=on),
}


@quickly
@pytest.mark.parametrize("method", ["create", "upload"])
@pytest.mark.parametrize("name", ORDERS)
async def test_repeated(
    name: str, method: str, documents: Documents, fake_plastiq: FakePlastiq
) -> None:
    """Both are repeated after a transient error, and store one document."""
    operation = f"documents.{method}"
    ORDERS[name](fake_plastiq, operation)
    place = await create(documents, fake_plastiq)
    await documents.upload(place, CONTENT)
    operations = [request.operation for request in fake_plastiq.requests]
    assert operations.count(operation) == 1 + (name != "refuse")
    assert [document.content for document in fake_plastiq.documents] == [CONTENT]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b'{"metadata": {}}', "$.uploadURL"),
        (b'{"uploadURL": "", "metadata": {}}', "$.uploadURL"),
        (b'{"uploadURL": null, "metadata": {}}', "$.uploadURL"),
        (b'{"uploadURL": "https://s3cr3t.example"}', "$.metadata"),
        (b'{"uploadURL": "https://a", "metadata": "s3cr3t"}', "$.metadata"),
        (b'{"uploadURL": "https://a", "metadata": {"s3cr3t": 7}}', "$.metadata"),
    ],
)
async def test_invalid_place(
    body: bytes, path: str, documents: Documents, fake_plastiq: FakePlastiq
) -> None:
    """A place without URL or fields is an error, which shows nothing of it."""
    fake_plastiq.garble_next(body)
    error = await error_of(create(documents, fake_plastiq))
    assert isinstance(error, APIResponseError)
    assert f"@ {path} [" in str(error)
    assert_untold([*texts_of(error), *frames_of(error)], ["s3cr3t"])


# --- upload ---


@pytest.mark.parametrize("as_path", [False, True])
async def test_upload(
    as_path: bool, tmp_path: Path, documents: Documents, fake_plastiq: FakePlastiq
) -> None:
    """A document is uploaded from bytes or from a file, without private headers."""
    intent_id = add_intent(fake_plastiq)
    place = await create(documents, fake_plastiq, payment_intent_id=intent_id)
    path = tmp_path / "another name"
    path.write_bytes(CONTENT)
    with trace_context(TRACE_ID):
        await documents.upload(
            place,
            path if as_path else CONTENT,
            end_user=EndUser(user_agent="Mozilla/5.0", ip="::1", device_id="a"),
            timeout=5,
        )
    assert fake_plastiq.documents == [
        StoredDocument(
            payer_id=fake_plastiq.payer_id,
            type="INVOICE",
            file_type="pdf",
            filename="invoice.pdf",
            payment_intent_id=intent_id,
            content=CONTENT,
            stored_at=fake_plastiq.documents[0].stored_at,
        )
    ]
    _, request = fake_plastiq.requests
    assert request.operation == "documents.upload"
    sent = {"host", "accept-encoding", "user-agent", "content-length", "content-type"}
    assert request.headers.keys() == sent
    assert request.headers["user-agent"].startswith("plastiq-async/")


async def test_upload_of_a_view(fake_plastiq: FakePlastiq) -> None:
    """A view uploads with its own options, and without the middleware."""
    seen: list[str] = []

    async def observe(request: Any, call_next: Any) -> Any:
        seen.append(request.url.path)
        return await call_next(request)

    async with fake_session(fake_plastiq, middleware=[observe]) as session:
        view = session.with_options(max_retries=0)
        place = await create(view.documents, fake_plastiq)
        fake_plastiq.fail_next(503)
        error = await error_of(view.documents.upload(place, CONTENT))
        assert error.attempts == 1
        await view.documents.upload(place, CONTENT)
    assert seen == ["/api/documents"]
    assert len(fake_plastiq.documents) == 1


async def test_expired(documents: Documents, fake_plastiq: FakePlastiq) -> None:
    """After the policy has expired, another place is needed."""
    place = await create(documents, fake_plastiq)
    fake_plastiq.advance(60 * 60)
    error = await error_of(documents.upload(place, CONTENT))
    assert type(error) is DocumentUploadError
    assert (error.status_code, error.transient, error.next_step) == (403, False, "fix")
    assert str(error).startswith(
        "the document was not stored: 403 AccessDenied: Forbidden [POST (upload URL), "
    )
    assert error.__cause__ is None
    assert error.__context__ is None
    assert fake_plastiq.documents == []


@quickly
async def test_error_after_retries(
    documents: Documents, fake_plastiq: FakePlastiq
) -> None:
    """A transient error that lasts may pass later."""
    place = await create(documents, fake_plastiq)
    fake_plastiq.fail_next(503, times=3)
    error = await error_of(documents.upload(place, CONTENT))
    assert type(error) is DocumentUploadError
    assert (error.status_code, error.attempts) == (503, 3)
    assert (error.transient, error.next_step) == (True, "again")
    assert error.idempotency_key is None
    await documents.upload(place, CONTENT)


@quickly
async def test_no_response(documents: Documents, fake_plastiq: FakePlastiq) -> None:
    """Without a response there is no status code."""
    place = await create(documents, fake_plastiq)
    fake_plastiq.refuse_next(times=3)
    refused = await error_of(documents.upload(place, CONTENT))
    fake_plastiq.drop_next(times=3)
    dropped = await error_of(documents.upload(place, CONTENT))
    for error in (refused, dropped):
        assert type(error) is DocumentUploadError
        assert not isinstance(error, APIConnectionError)
        assert (error.status_code, error.attempts) == (None, 3)
        assert error.next_step == "again"
    assert (refused.outcome_unknown, dropped.outcome_unknown) == (False, True)


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        (b"", 201, "the body is not XML"),
        (b'{"id": "s3cr3t"}', 201, "the body is not XML"),
        (b"<?xml?>", 200, "200: OK"),
        (b"", 204, "204: No Content"),
        (b"<Error><Code>s3cr3t</Code></Error>", 400, "400: Bad Request"),
        (b"<Error><Code>EntityTooLarge</Code></Error>", 400, "400 EntityTooLarge: Bad"),
        (b"", 307, "307: Temporary Redirect"),
        (b"", 599, "599: unknown status"),
    ],
)
async def test_not_stored(
    body: bytes,
    status: int,
    text: str,
    documents: Documents,
    fake_plastiq: FakePlastiq,
) -> None:
    """Only a 201 with XML means that the document is stored."""
    place = await create(documents, fake_plastiq)
    fake_plastiq.garble_next(body, status=status, headers={"Location": "/elsewhere"})
    error = await error_of(documents.upload(place, CONTENT))
    assert type(error) is DocumentUploadError
    assert error.status_code == status
    assert text in str(error)
    assert error.next_step == ("again" if status in {201, 599} else "fix")
    assert_untold(texts_of(error), ["s3cr3t"])
    assert len(fake_plastiq.requests) == 2


FILE_FIELD = {"file": "s3cr3t"}
PLACE = make_place("https://bucket.example/")


@pytest.mark.parametrize(
    ("place", "content", "text"),
    [
        ({"upload_url": "https://s3cr3t.example"}, b"x", "upload must be a DocumentU"),
        (None, b"x", "upload must be a DocumentUpload"),
        (make_place(""), b"x", "upload.upload_url must be a URL"),
        (make_place("s3cr3t"), b"x", "upload.upload_url must be an absolute URL"),
        (
            make_place("http://s3cr3t.example"),
            b"x",
            "upload.upload_url must be a URL",
        ),
        (
            make_place("ftp://s3cr3t.example"),
            b"x",
            "upload.upload_url must be an",
        ),
        (make_place("https://a:s3cr3t@b.example"), b"x", "upload.upload_url must have"),
        (
            make_place("https://xn--/s3cr3t"),
            b"x",
            "upload.upload_url must be a ",
        ),
        (
            make_place("https://a.example", fields=FILE_FIELD),
            b"x",
            "upload.fields",
        ),
        (PLACE, b"", "content must have 1 to 20971520 bytes"),
        (PLACE, bytes(20 * 1024 * 1024 + 1), "content must have 1 to 20971520 bytes"),
        (PLACE, bytearray(b"s3cr3t"), "content must be bytes or a pathlib.Path"),
        (PLACE, "/s3cr3t.pdf", "content must be bytes or a pathlib.Path"),
        (PLACE, Path("/nowhere/s3cr3t.pdf"), "content cannot be read: No such file"),
        (PLACE, Path("/s3cr3t\0"), "content cannot be read: "),
        (PLACE, Path("/"), "content must be the path of a regular file"),
    ],
)
async def test_refused_upload(
    place: Any, content: Any, text: str, documents: Documents, fake_plastiq: FakePlastiq
) -> None:
    """A place or a content that is not usable is refused before anything is sent."""
    with pytest.raises(InvalidArgumentError, match=f"^{text}") as info:
        await documents.upload(place, content)
    assert_untold([*texts_of(info.value), *frames_of(info.value)], ["s3cr3t"])
    assert info.value.next_step in {None, "fix"}
    assert fake_plastiq.requests == []


async def test_copy_is_refused(documents: Documents) -> None:
    """A copy of a place has no form fields any more."""
    with pytest.raises(InvalidArgumentError, match=r"^upload must be what create\(\)"):
        await documents.upload(copy.copy(PLACE), CONTENT)


@pytest.mark.parametrize("size", [0, 20 * 1024 * 1024 + 1])
async def test_size_of_a_file(
    size: int, tmp_path: Path, documents: Documents, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The size of a file is checked before it is read."""
    path = tmp_path / "large.pdf"
    with path.open("wb") as file:
        file.truncate(size)
    monkeypatch.setattr(Path, "open", None)
    with pytest.raises(InvalidArgumentError, match=r"^content must have 1 to 20971520"):
        await documents.upload(PLACE, path)


async def test_file_system_that_hangs(
    documents: Documents, fake_plastiq: FakePlastiq
) -> None:
    """A file that cannot be read in time neither blocks nor outlasts the call."""
    released = threading.Event()

    class Hanging(type(Path())):  # type: ignore[misc]  # a base that depends on the system
        """A path on such a file system."""

        def stat(self, **_: object) -> NoReturn:
            """Wait for the test to end."""
            released.wait(30)
            raise OSError

    try:
        call = documents.upload(PLACE, Hanging("a.pdf"), timeout=0.1)
        error = await error_of(call)
    finally:
        released.set()
    assert isinstance(error, APITimeoutError)
    assert error.attempts == 0
    assert fake_plastiq.requests == []


async def test_options(documents: Documents) -> None:
    """The options are those of all methods."""
    with pytest.raises(TypeError, match="colour"):
        await documents.upload(PLACE, CONTENT, colour="red")  # type: ignore[call-arg]
    with pytest.raises(InvalidArgumentError, match=r"^timeout must be"):
        await documents.upload(PLACE, CONTENT, timeout=0)


async def test_extra_headers(documents: Documents, fake_plastiq: FakePlastiq) -> None:
    """Headers for the API are refused, and not sent to another host."""
    headers = {"API-Key": "s3cr3t"}
    error = await error_of(documents.upload(PLACE, CONTENT, extra_headers=headers))
    assert str(error).startswith("extra_headers must be empty for an upload")
    assert_untold([*texts_of(error), *frames_of(error)], ["s3cr3t"])
    assert fake_plastiq.requests == []
    await create(documents, fake_plastiq, extra_headers=headers)
    assert fake_plastiq.requests[0].headers["api-key"] == "s3cr3t"


@quickly
async def test_form_is_hidden(
    documents: Documents, fake_plastiq: FakePlastiq, caplog: pytest.LogCaptureFixture
) -> None:
    """No error, log or frame shows a form field, even if the server repeats it."""
    caplog.set_level(logging.DEBUG)
    place = make_place(f"http://127.0.0.1/_uploads/{uuid4()}")
    quote = " ".join(place.fields.values()).encode()
    fake_plastiq.garble_next(quote, status=403, headers={"X-Echo": "s1gnature0f4f0rm"})
    refused = await error_of(documents.upload(place, CONTENT))
    fake_plastiq.garble_next(b"<Error><Code>%b</Code>" % quote, status=503, times=3)
    failed = await error_of(documents.upload(place, CONTENT))
    fake_plastiq.drop_next(times=3)
    dropped = await error_of(documents.upload(place, CONTENT))
    unknown = await error_of(documents.upload(place, CONTENT))
    private = [*PRIVATE_FIELDS, "_uploads", "the c0ntent"]
    for error in (refused, failed, dropped, unknown):
        assert type(error) is DocumentUploadError
        assert_untold([*texts_of(error), *frames_of(error)], private)
    assert_untold(logged(caplog), private)
    assert any("documents.upload: retrying" in text for text in logged(caplog))
