"""The route of `/documents` and the storage for uploads, over plain HTTP."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from plastiq_async.testing import FakePlastiq, StoredDocument
from tests.support.recipients import RECIPIENT_JSON
from tests.testing.calls import call, client_for, problem, served
from tests.testing.quotes import add, add_parties

NOW = datetime(2030, 4, 30, 12, tzinfo=UTC)
FILE_TYPES = ["doc", "docx", "gif", "jpeg", "jpg", "pdf", "xls", "xlsx"]
TARGETS = ["payment", "paymentIntent", "recipient"]
BOUNDARY = "b0undary"


@pytest.fixture
def fake() -> FakePlastiq:
    """Return a fake whose clock stands still."""
    return FakePlastiq(clock=NOW.timestamp)


async def body_for(fake: FakePlastiq, **changes: object) -> dict[str, Any]:
    """Return a valid body for a recipient, with some of its members replaced."""
    recipient_id = await add(fake, "/recipients", RECIPIENT_JSON)
    body = {
        "type": "INVOICE",
        "fileType": "pdf",
        "filename": "invoice <1>.pdf",
        "payer": {"id": str(fake.payer_id)},
        "recipient": {"id": str(recipient_id)},
        **changes,
    }
    return {name: value for name, value in body.items() if value is not None}


async def place_of(fake: FakePlastiq) -> tuple[str, dict[str, str]]:
    """Ask for a place, and return its URL and form fields."""
    response = await call(fake, "POST", "/documents", json=await body_for(fake))
    assert response.status_code == 200
    place = response.json()
    assert place.keys() == {"uploadURL", "metadata"}
    return place["uploadURL"], place["metadata"]


def write_form(parts: list[tuple[str, bytes]]) -> bytes:
    """Return a form with these parts, in order."""
    written = b""
    for name, value in parts:
        filename = '; filename="a.pdf"' if name == "file" else ""
        head = f'Content-Disposition: form-data; name="{name}"{filename}'
        written += f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + value + b"\r\n"
    return written + f"--{BOUNDARY}--\r\n".encode()


def parts_of(fields: dict[str, str], content: bytes) -> list[tuple[str, bytes]]:
    """Return the parts of a form with a file."""
    return [
        *((name, text.encode()) for name, text in fields.items()),
        ("file", content),
    ]


async def send(
    fake: FakePlastiq, url: str, body: bytes, method: str = "POST", **headers: str
) -> httpx.Response:
    """Send a form to the storage."""
    content_type = f"multipart/form-data; boundary={BOUNDARY}"
    headers = {"Content-Type": content_type, **headers}
    async with httpx.AsyncClient(transport=fake.transport) as client:
        return await client.request(method, url, content=body, headers=headers)


def refusal(response: httpx.Response) -> tuple[int, str]:
    """Return the status and the code of an error in XML."""
    assert response.headers["Content-Type"].startswith("application/xml")
    assert "Trace-Id" not in response.headers
    text = response.text
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>')
    assert "<Message>" in text
    return response.status_code, text.partition("<Code>")[2].partition("<")[0]


async def test_place(fake: FakePlastiq) -> None:
    """A place has the fields of a presigned POST, with a policy that expires."""
    url, fields = await place_of(fake)
    assert fields.keys() == {
        *("Key", "success_action_status", "bucket", "Policy"),
        *("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Signature"),
        "X-Amz-Security-Token",
    }
    assert fields["success_action_status"] == "201"
    policy = json.loads(base64.b64decode(fields["Policy"]))
    assert policy["expiration"] == "2030-04-30T12:15:00.000Z"
    other_url, other_fields = await place_of(fake)
    assert url != other_url
    assert fields["X-Amz-Signature"] != other_fields["X-Amz-Signature"]


@pytest.mark.parametrize("target", TARGETS)
async def test_document(target: str, fake: FakePlastiq) -> None:
    """A document is stored with what it belongs to."""
    parties = await add_parties(fake)
    payer = {"id": str(parties.payer_id)}
    intent_id = await add(fake, "/payment-intents", parties.body())
    order = {"paymentIntent": {"id": str(intent_id)}, "payer": payer}
    ids = {
        "payment": await add(fake, "/payments", order),
        "paymentIntent": intent_id,
        "recipient": parties.recipient_id,
    }
    changes = {"recipient": None, target: {"id": str(ids[target])}, "payer": payer}
    body = await body_for(fake, **changes)
    place = (await call(fake, "POST", "/documents", json=body)).json()
    fake.advance(60)
    content = b"\r\n--b0undar\0\xff"
    form = write_form(parts_of(place["metadata"], content))
    response = await send(fake, place["uploadURL"], form)
    assert response.status_code == 201
    assert response.headers["Content-Type"].startswith("application/xml")
    assert "<PostResponse><Location>http://127.0.0.1/_uploads/" in response.text
    assert "invoice &lt;1&gt;.pdf</Key>" in response.text
    assert fake.documents == [
        StoredDocument(
            payer_id=parties.payer_id,
            type="INVOICE",
            file_type="pdf",
            filename="invoice <1>.pdf",
            payment_id=ids["payment"] if target == "payment" else None,
            payment_intent_id=intent_id if target == "paymentIntent" else None,
            recipient_id=ids["recipient"] if target == "recipient" else None,
            content=content,
            stored_at=fake.now,
        )
    ]
    assert "b0undar" not in repr(fake.documents)
    assert fake.requests[-1].operation == "documents.upload"
    assert fake.requests[-1].body == form
    fake.reset()
    assert fake.documents == []
    assert (await send(fake, place["uploadURL"], form)).status_code == 404


@pytest.mark.parametrize("file_type", FILE_TYPES)
async def test_file_types(file_type: str, fake: FakePlastiq) -> None:
    """The file types are those of the API document."""
    body = await body_for(fake, fileType=file_type)
    assert (await call(fake, "POST", "/documents", json=body)).status_code == 200


UNKNOWN = {"id": str(uuid4())}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"type": None}, "type is required"),
        ({"fileType": None}, "fileType is required"),
        ({"filename": None}, "filename is required"),
        ({"payer": None}, "payer is required"),
        ({"type": "RECEIPT"}, "type must be one of: INVOICE"),
        ({"fileType": "png"}, f"fileType must be one of: {', '.join(FILE_TYPES)}"),
        ({"fileType": ["pdf"]}, f"fileType must be one of: {', '.join(FILE_TYPES)}"),
        ({"filename": " "}, "filename must be a string that is not blank"),
        ({"payer": UNKNOWN}, "payer.id must be the ID of an existing payer"),
        (
            {"recipient": None},
            "exactly one of payment, paymentIntent, recipient is required",
        ),
        (
            {"payment": UNKNOWN},
            "exactly one of payment, paymentIntent, recipient is required",
        ),
        ({"recipient": UNKNOWN}, "recipient.id does not exist"),
        ({"recipient": None, "payment": UNKNOWN}, "payment.id does not exist"),
        (
            {"recipient": None, "paymentIntent": UNKNOWN},
            "paymentIntent.id does not exist",
        ),
    ],
)
async def test_refused_body(
    changes: dict[str, Any], text: str, fake: FakePlastiq
) -> None:
    """A body that breaks the contract is refused by the name of the field."""
    body = await body_for(fake, **changes)
    assert problem(await call(fake, "POST", "/documents", json=body)) == text


async def test_target_of_another_payer(fake: FakePlastiq) -> None:
    """A document belongs to something of its payer."""
    parties = await add_parties(fake)
    intent_id = await add(fake, "/payment-intents", parties.body())
    other = {"id": str(fake.add_payer())}
    body = await body_for(
        fake, recipient=None, paymentIntent={"id": str(intent_id)}, payer=other
    )
    expected = "paymentIntent.id must be a paymentIntent of the payer"
    assert problem(await call(fake, "POST", "/documents", json=body)) == expected
    scoped = {**RECIPIENT_JSON, "payer": other}
    recipient_id = await add(fake, "/recipients", scoped)
    body = await body_for(fake, recipient={"id": str(recipient_id)})
    expected = "recipient.id must be a recipient of the payer"
    assert problem(await call(fake, "POST", "/documents", json=body)) == expected
    body["payer"] = other
    assert (await call(fake, "POST", "/documents", json=body)).status_code == 200


async def test_stored_once(fake: FakePlastiq) -> None:
    """The same file may be sent again, as after a lost response, but no other one."""
    url, fields = await place_of(fake)
    form = write_form(parts_of(fields, b"x"))
    fake.drop_next(after_processing=True, on="documents.upload")
    with pytest.raises(httpx.ReadError):
        await send(fake, url, form)
    assert (await send(fake, url, form)).status_code == 201
    other = write_form(parts_of(fields, b"y"))
    assert refusal(await send(fake, url, other)) == (403, "AccessDenied")
    assert [document.content for document in fake.documents] == [b"x"]


async def test_expired_policy(fake: FakePlastiq) -> None:
    """A place can be used for less than 15 minutes."""
    url, fields = await place_of(fake)
    form = write_form(parts_of(fields, b"x"))
    fake.advance(15 * 60)
    assert refusal(await send(fake, url, form)) == (403, "AccessDenied")
    assert fake.documents == []


async def test_refused_form(fake: FakePlastiq) -> None:
    """Each field is there once and unchanged, and one file comes last."""
    url, fields = await place_of(fake)
    *known, file = parts_of(fields, b"x")
    wrong = {
        "file first": ([file, *known], 400, "InvalidArgument"),
        "file in between": ([known[0], file, *known[1:]], 400, "InvalidArgument"),
        "no file": (known, 400, "InvalidArgument"),
        "two files": ([*known, file, file], 400, "InvalidArgument"),
        "changed field": ([("Key", b"k"), *known[1:], file], 403, "AccessDenied"),
        "missing field": ([*known[1:], file], 403, "AccessDenied"),
        "field twice": ([*known, known[0], file], 403, "AccessDenied"),
        "unknown field": ([*known, ("acl", b"public"), file], 403, "AccessDenied"),
        "empty file": ([*known, ("file", b"")], 400, "EntityTooSmall"),
    }
    for name, (parts, status, code) in wrong.items():
        response = await send(fake, url, write_form(parts))
        assert refusal(response) == (status, code), name
    assert fake.documents == []
    shuffled = write_form([*known[::-1], file])
    assert (await send(fake, url, shuffled)).status_code == 201


async def test_malformed_form(fake: FakePlastiq) -> None:
    """What is not a form is refused."""
    url, fields = await place_of(fake)
    form = write_form(parts_of(fields, b"x"))
    malformed = {
        "empty": b"",
        "preamble": b"x" + form,
        "cut short": form[:-6],
        "no parts": f"--{BOUNDARY}--".encode(),
        "no head": form.replace(b"Content-Disposition", b"Content", 1),
        "no value": form.replace(b"\r\n\r\n", b"\r\n", 1),
    }
    for name, body in malformed.items():
        response = await send(fake, url, body)
        assert refusal(response) == (400, "MalformedPOSTRequest"), name
    for content_type in ("", "application/json", "multipart/form-data"):
        response = await send(fake, url, form, **{"Content-Type": content_type})
        assert refusal(response) == (412, "PreconditionFailed")
    quoted = f'multipart/form-data; boundary="{BOUNDARY}"'
    assert (await send(fake, url, form, **{"Content-Type": quoted})).status_code == 201


@pytest.mark.parametrize(
    "name", ["Authorization", "Trace-Id", "End-User-Ip", "End-User-Device-Id"]
)
async def test_private_header(name: str, fake: FakePlastiq) -> None:
    """The storage refuses what only the API is to learn."""
    url, fields = await place_of(fake)
    form = write_form(parts_of(fields, b"x"))
    response = await send(fake, url, form, **{name: "x"})
    assert refusal(response) == (400, "InvalidArgument")


async def test_unknown_place(fake: FakePlastiq) -> None:
    """A place that was not handed out does not exist, and takes POST only."""
    url, fields = await place_of(fake)
    form = write_form(parts_of(fields, b"x"))
    for place_id in ("", "7", str(uuid4())):
        other = f"{url.rpartition('/')[0]}/{place_id}"
        assert refusal(await send(fake, other, form)) == (404, "NoSuchBucket")
    assert refusal(await send(fake, url, form, "PUT")) == (405, "MethodNotAllowed")


@pytest.mark.slow
async def test_largest_file(fake: FakePlastiq) -> None:
    """A file has at most 20 MiB; of its form, the fake keeps the beginning."""
    largest = 20 * 1024 * 1024
    for extra, status in ((0, 201), (1, 400), (1 << 17, 400)):
        url, fields = await place_of(fake)
        form = write_form(parts_of(fields, bytes(largest + extra)))
        response = await send(fake, url, form)
        assert response.status_code == status
        if status == 400:
            assert refusal(response) == (400, "EntityTooLarge")
    assert [len(document.content) for document in fake.documents] == [largest]
    assert len(fake.requests[-1].body) == 64 * 1024 + 1


@pytest.mark.slow
async def test_memory_is_bounded() -> None:
    """The fake keeps the last documents only, by number and by size."""
    fake = FakePlastiq(history=2)
    for number in range(3):
        url, fields = await place_of(fake)
        await send(fake, url, write_form(parts_of(fields, b"%d" % number)))
    assert [document.content for document in fake.documents] == [b"1", b"2"]
    fake = FakePlastiq()
    for _ in range(6):
        url, fields = await place_of(fake)
        await send(fake, url, write_form(parts_of(fields, bytes(20 * 1024 * 1024))))
    assert len(fake.documents) == 5


@pytest.mark.slow
async def test_over_a_socket(fake: FakePlastiq) -> None:
    """The URL is where the client reached the fake."""
    body = await body_for(fake)
    with served(fake) as base_url:
        async with client_for(fake) as client:
            headers = {"Authorization": client.headers["Authorization"]}
        async with httpx.AsyncClient(base_url=base_url) as client:
            response = await client.post("/documents", json=body, headers=headers)
            url, fields = response.json()["uploadURL"], response.json()["metadata"]
            place_id = url.removeprefix(base_url.removesuffix("api") + "_uploads/")
            assert str(UUID(place_id)) == place_id
            files = {"file": ("a.pdf", b"x")}
            stored = await client.post(url, data=fields, files=files)
    assert stored.status_code == 201
    assert len(fake.documents) == 1


async def test_host_and_mount(fake: FakePlastiq) -> None:
    """The URL has the host, the scheme and the path prefix of the request."""
    body = await body_for(fake)
    transport = httpx.ASGITransport(fake.app, root_path="/fake")
    headers = {"Authorization": f"Bearer {fake.access_token}"}
    async with httpx.AsyncClient(transport=transport, headers=headers) as client:
        url = "https://plastiq.test:8443/fake/api/documents"
        place = (await client.post(url, json=body)).json()
        assert place["uploadURL"].startswith("https://plastiq.test:8443/fake/_uploads/")
        del client.headers["Authorization"]
        files = {"file": ("a.pdf", b"x")}
        stored = await client.post(
            place["uploadURL"], data=place["metadata"], files=files
        )
    assert stored.status_code == 201
