"""`Categories`: ``/categories`` of the public API document, version 1.0.0."""

from typing import Unpack

from plastiq_async._operation import Operation
from plastiq_async._resources.base import Resource
from plastiq_async._resources.paginator import Paginator
from plastiq_async._resources.unpaged import UnpagedListing
from plastiq_async.models.categories import Category
from plastiq_async.models.common import CallOptions
from plastiq_async.models.pages import Page


class Categories(Resource):
    """Categories, the industries of recipients."""

    def list(self, **options: Unpack[CallOptions]) -> Paginator[Category]:
        """List the categories that a recipient can have.

        ::

            async for category in plastiq.categories.list():
                print(category.id, category.display_name)

        The API sends all of them at once and takes neither an offset nor a limit, by
        the public API document, version 1.0.0. If it reports another page nevertheless,
        the iteration asks for it. Each call is retried after transient errors.

        Args:
            options: `CallOptions`, for each page.

        Returns:
            The listing. Await it for the first page, or iterate over all categories.

        Raises:
            InvalidArgumentError: An option is not valid. This error and the following
                ones are raised when the listing is awaited or iterated over.
            SessionStateError: The session is closed, or belongs to another event loop.
            APITimeoutError: The deadline passed.
            APIConnectionError: There was no response, retries included.
            APIStatusError: The API refused; there is a subclass for each status.
            APIResponseError: The response violates the contract.
        """
        operation = Operation(
            name="categories.list",
            method="GET",
            path="/categories",
            harmless=True,
            result=Page[Category],
        )
        return UnpagedListing(self._pipeline, operation, options)
