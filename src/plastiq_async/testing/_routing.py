"""Everything that a module of routes needs: `Route`, requests, responses, errors.

A route is a function of a request and the fake's state. It returns an
`ApiResponse` or raises an `ApiError`:

    def retrieve(request: ApiRequest, state: FakeState) -> ApiResponse:
        widget = state.of(Widgets).by_id.get(request.path_uuid("id"))
        if widget is None:
            raise NotFoundError
        return ApiResponse(widget)

    ROUTES = (
        Route(
            operation="widgets.retrieve",
            method="GET",
            path="/widgets/{id}",
            handler=retrieve,
        ),
    )

    class FakeWithWidgets(FakePlastiq):
        routes = (*FakePlastiq.routes, *ROUTES)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TypeAlias

import attrs

from plastiq_async.testing._checks import (
    check_fields,
    parse_uuid,
    parse_uuid4,
    require_object,
    require_uuid,
)
from plastiq_async.testing._errors import (
    ApiError,
    ConflictError,
    NotFoundError,
    ValidationError,
)
from plastiq_async.testing._idempotency import IdempotencyKeys, idempotent
from plastiq_async.testing._listing import LISTING_QUERY, list_page
from plastiq_async.testing._messages import ApiRequest, ApiResponse
from plastiq_async.testing._state import FakeState

__all__ = [
    "LISTING_QUERY",
    "ApiError",
    "ApiRequest",
    "ApiResponse",
    "ConflictError",
    "FakeState",
    "Handler",
    "IdempotencyKeys",
    "Match",
    "NotFoundError",
    "Route",
    "RouteTable",
    "ValidationError",
    "check_fields",
    "idempotent",
    "list_page",
    "parse_uuid",
    "parse_uuid4",
    "require_object",
    "require_uuid",
]

Handler: TypeAlias = Callable[[ApiRequest, FakeState], ApiResponse]
"""The function of a route."""


@attrs.frozen(kw_only=True)
class Route:
    """One operation of the API.

    Attributes:
        operation: Name of the operation, such as `"client_secrets.create"`.
        method: HTTP method in upper case.
        path: Path template below the base URL, such as `"/payers/{id}"`.
        handler: Function that handles a request.
        query: Names of the query parameters that the operation accepts.
    """

    operation: str
    method: str
    path: str
    handler: Handler
    query: Collection[str] = ()


@attrs.frozen
class Match:
    """The result of a look-up in a `RouteTable`.

    Attributes:
        route: The route, or None if no route matches the method and path.
        path_params: Path parameters of the route.
        allowed: Methods that the path accepts; empty if the path is unknown.
    """

    route: Route | None
    path_params: Mapping[str, str] = attrs.field(factory=dict)
    allowed: tuple[str, ...] = ()


class RouteTable:
    """The routes of a fake, for look-up by method and path.

    Args:
        routes: The routes. The first one that matches is used.
        prefix: Path of the base URL.

    Attributes:
        operations: Names of the routes' operations, in order.

    Raises:
        ValueError: Two routes have the same operation name.
    """

    def __init__(self, routes: Iterable[Route], *, prefix: str) -> None:
        self._routes = [(_compile(prefix + route.path), route) for route in routes]
        self.operations = tuple(route.operation for _, route in self._routes)
        if len(set(self.operations)) < len(self.operations):
            msg = f"operation names must be unique: {', '.join(self.operations)}"
            raise ValueError(msg)

    def find(self, method: str, path: str) -> Match:
        """Find the route of a request.

        Args:
            method: HTTP method in upper case.
            path: Decoded path.

        Returns:
            The match, which may be without a route.
        """
        allowed = set()
        for pattern, route in self._routes:
            found = pattern.fullmatch(path)
            if found is None:
                continue
            if route.method == method:
                return Match(route, found.groupdict())
            allowed.add(route.method)
        return Match(None, allowed=tuple(sorted(allowed)))


def _compile(template: str) -> re.Pattern[str]:
    # Names of parameters are the odd parts.
    parts = re.split(r"\{(\w+)\}", template)
    return re.compile(
        "".join(
            f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part)
            for index, part in enumerate(parts)
        )
    )
