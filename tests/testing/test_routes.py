"""The kinds of routes that a fake can serve, with widgets as the example."""

from __future__ import annotations

from uuid import UUID, uuid4

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from plastiq_async.testing import FakePlastiq
from plastiq_async.testing._routing import Route
from tests.testing.calls import call, client_for, problem
from tests.testing.widgets import (
    OTHER_PAYER,
    WIDGET_ROUTES,
    FakeWithWidgets,
    Widgets,
    create_widget,
    retrieve,
)

# --- retrieve ---


async def test_retrieve() -> None:
    """A GET has path and query parameters, and needs no content type."""
    fake = FakeWithWidgets()
    widget = fake.add_widget()
    params = {"payerId": str(fake.payer_id)}
    response = await call(fake, "GET", f"/widgets/{widget.id}", params=params)
    assert response.status_code == 200
    assert response.json() == widget.to_json()
    assert UUID(response.headers["Trace-Id"]) == fake.requests[0].trace_id


async def test_request_is_recorded_with_query_and_operation() -> None:
    """A recorded request has its decoded query and the name of its operation."""
    fake = FakeWithWidgets()
    path = f"/widgets/{uuid4()}"
    await call(fake, "GET", f"{path}?payerId=a%20b&payerId=&x=%C3%A4")
    await call(fake, "GET", "/nowhere")
    known, unknown = fake.requests
    assert known.path == f"/api{path}"
    assert known.operation == "widgets.retrieve"
    assert known.query == {"payerId": ("a b", ""), "x": ("ä",)}
    assert "content-type" not in known.headers
    assert isinstance(hash(known), int)
    assert (unknown.operation, unknown.query) == (None, {})
    with pytest.raises(TypeError):
        known.query["x"] = ()  # type: ignore[index]


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("", "payerId is required"),
        ("?payerId=x", "payerId must be a UUID"),
        ("?payerId=", "payerId must be a UUID"),
        ("?payerId=x&payerId=x", "payerId must not be repeated"),
        ("?payerid=x", "payerid is not a query parameter of this operation"),
    ],
)
async def test_query_is_checked(query: str, detail: str) -> None:
    """A missing, invalid, repeated or unknown query parameter is a 400."""
    fake = FakeWithWidgets()
    response = await call(fake, "GET", f"/widgets/{fake.add_widget().id}{query}")
    assert problem(response) == detail


async def test_unknown_query_parameter_of_a_creation() -> None:
    """An operation that declares no query parameter accepts none."""
    fake = FakePlastiq()
    body = {"payer": {"id": str(fake.payer_id)}}
    response = await call(fake, "POST", "/client-secrets?type=CARD", json=body)
    assert problem(response) == "type is not a query parameter of this operation"


async def test_path_parameter_must_be_a_uuid() -> None:
    """An ID in the path that is not a UUID is a 400."""
    fake = FakeWithWidgets()
    response = await call(fake, "GET", f"/widgets/x?payerId={fake.payer_id}")
    assert problem(response) == "id must be a UUID"


@pytest.mark.parametrize("whose", ["unknown", "foreign"])
async def test_not_found(whose: str) -> None:
    """An unknown widget and a widget of another payer are a 404."""
    fake = FakeWithWidgets()
    widget = fake.add_widget()
    widget_id = uuid4() if whose == "unknown" else widget.id
    response = await call(fake, "GET", f"/widgets/{widget_id}?payerId={OTHER_PAYER}")
    assert response.status_code == 404
    assert response.json() == {
        "code": "NOT_FOUND_ERROR",
        "message": "Not found",
        "errors": [],
        "traceId": response.headers["Trace-Id"],
    }


@pytest.mark.parametrize("path", ["/widgets", f"/widgets/{OTHER_PAYER}"])
async def test_all_routes_need_a_token(path: str) -> None:
    """The access token is checked before a route is called."""
    async with client_for(FakeWithWidgets(), Authorization="Bearer wrong") as client:
        response = await client.get(path)
    assert response.status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("HEAD", "/widgets", "GET, POST"),
        ("PUT", "/widgets", "GET, POST"),
        ("POST", "/widgets/x", "DELETE, GET, PATCH"),
        ("OPTIONS", "/client-secrets", "POST"),
    ],
)
async def test_method_not_allowed(method: str, path: str, allow: str) -> None:
    """Another method on a known path is a 405 that names the allowed ones."""
    fake = FakeWithWidgets()
    response = await call(fake, method, path)
    assert response.status_code == 405
    assert response.headers["Allow"] == allow
    assert UUID(response.headers["Trace-Id"]) == fake.requests[0].trace_id
    assert fake.requests[0].operation is None
    if method != "HEAD":  # whose response has no body
        assert response.json() == {
            "message": "Method Not Allowed",
            "errors": [],
            "traceId": response.headers["Trace-Id"],
        }


@pytest.mark.parametrize("path", ["/widgets/", "/widgets/a/b", "/widgets/a%2Fb", "/"])
async def test_path_template_matches_whole_segments(path: str) -> None:
    """A path parameter is exactly one segment that is not empty."""
    fake = FakeWithWidgets()
    assert (await call(fake, "GET", path)).status_code == 404
    assert fake.requests[0].operation is None


async def test_mounted_below_another_application() -> None:
    """A fake that is mounted below a path finds its routes."""
    fake = FakeWithWidgets()
    app = Starlette(routes=[Mount("/fake", fake.app)])
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://127.0.0.1/fake/api"
    ) as client:
        client.headers["Authorization"] = f"Bearer {fake.access_token}"
        response = await client.get("/widgets")
    assert response.status_code == 200
    assert fake.requests[0].operation == "widgets.list"


# --- create, update and delete ---


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"colour": "red"}, "colour is unknown"),
        ({"payer": {"id": OTHER_PAYER, "x": 1}}, "payer.x is unknown"),
        ({"payer": None}, "payer must be an object"),
        ({"payer": {"id": OTHER_PAYER}}, "payer.id must be an existing payer"),
    ],
)
async def test_body_is_checked(changes: dict[str, object], detail: str) -> None:
    """A 400 names the field that is wrong."""
    assert problem(await create_widget(FakeWithWidgets(), **changes)) == detail


async def test_update() -> None:
    """A PATCH changes the widget and returns it."""
    fake = FakeWithWidgets()
    widget = fake.add_widget()
    response = await call(fake, "PATCH", f"/widgets/{widget.id}", json={"name": "New"})
    assert response.status_code == 200
    assert response.json() == widget.to_json()
    assert widget.name == "New"


async def test_update_needs_a_json_body() -> None:
    """A PATCH without a JSON content type, or without a body, is a 400."""
    fake = FakeWithWidgets()
    path = f"/widgets/{fake.add_widget().id}"
    response = await call(fake, "PATCH", path, content=b"{}")
    assert problem(response) == "Content-Type must be application/json"
    headers = {"Content-Type": "application/json"}
    response = await call(fake, "PATCH", path, headers=headers)
    assert problem(response) == "body must be JSON"


async def test_delete() -> None:
    """A DELETE is a 204 without a body, and then a 404."""
    fake = FakeWithWidgets()
    path = f"/widgets/{fake.add_widget().id}"
    response = await call(fake, "DELETE", path)
    assert (response.status_code, response.content) == (204, b"")
    assert "Content-Type" not in response.headers
    assert "Content-Length" not in response.headers
    assert UUID(response.headers["Trace-Id"]) == fake.requests[0].trace_id
    assert (await call(fake, "DELETE", path)).status_code == 404
    patched = await call(fake, "PATCH", path, json={"name": "x"})
    assert patched.status_code == 404
    retrieved = await call(fake, "GET", f"{path}?payerId={fake.payer_id}")
    assert retrieved.status_code == 404


# --- the classes ---


async def test_state_is_per_fake() -> None:
    """Each fake has its own state of a resource."""
    fake, other = FakeWithWidgets(), FakeWithWidgets()
    await create_widget(fake)
    assert fake.widgets is fake.widgets
    assert isinstance(fake.widgets, Widgets)
    assert (len(fake.widgets.by_id), len(other.widgets.by_id)) == (1, 0)


async def test_base_class_is_unchanged() -> None:
    """Routes of a subclass do not reach the base class."""
    assert FakePlastiq.routes == FakeWithWidgets.routes[: -len(WIDGET_ROUTES)]
    assert (await call(FakePlastiq(), "GET", "/widgets")).status_code == 404


def test_operation_names_are_unique() -> None:
    """Two routes with one operation name are refused."""
    route = Route(
        operation="client_secrets.create",
        method="GET",
        path="/widgets/{id}",
        handler=retrieve,
    )

    class Ambiguous(FakePlastiq):
        routes = (*FakePlastiq.routes, route)

    with pytest.raises(ValueError, match=r"must be unique: .*client_secrets\.create"):
        Ambiguous()
