"""The model of a place for an upload."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import attrs
import pytest

from plastiq_async import DocumentUpload, to_jsonable
from tests.support.documents import FIELDS, PRIVATE_FIELDS, make_place
from tests.support.models import make_info
from tests.support.private_texts import assert_untold

URL = "https://bucket-of-s3.example/"


def test_values() -> None:
    """The fields are as the server sent them, and cannot be changed."""
    place = make_place(URL)
    assert place.upload_url == URL
    assert dict(place.fields) == FIELDS
    assert place == make_place(URL, response=make_info(attempts=2))
    assert hash(place) == hash(make_place(URL))
    with pytest.raises(TypeError):
        place.fields["Key"] = "x"  # type: ignore[index]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        place.filename = "x"  # type: ignore[misc]
    assert not hasattr(place, "__dict__")


def test_nothing_is_shown() -> None:
    """No text form has the URL or a form field, not even that of the fields."""
    place = make_place(URL)
    texts = [repr(place), str(place), repr(place.fields), repr(place.upload_url)]
    assert repr(place) == "DocumentUpload(filename='invoice.pdf')"
    texts += [str(to_jsonable(place)), repr(attrs.asdict(place, recurse=False))]
    assert_untold(texts, [*PRIVATE_FIELDS, "bucket-of-s3"])
    assert to_jsonable(place) == {"filename": "invoice.pdf"}


@pytest.mark.parametrize(
    "twin_of",
    [copy.copy, copy.deepcopy, lambda place: pickle.loads(pickle.dumps(place))],  # noqa: S301 -- our own
)
def test_copies(twin_of: Any) -> None:
    """A copy or pickle has neither the URL nor the fields."""
    place = make_place(URL)
    pickled = pickle.dumps(place).decode("latin-1")
    assert_untold([pickled], [*PRIVATE_FIELDS, "bucket-of-s3"])
    twin: DocumentUpload = twin_of(place)
    left: list[object] = [twin.upload_url, twin.fields, twin.filename]
    assert left == [None, None, "invoice.pdf"]
