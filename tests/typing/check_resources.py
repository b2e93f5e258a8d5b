"""Type checks of a resource and its listings; nothing here runs.

A `type: ignore` marks an expected error: both checkers report an unused one.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import assert_type
from uuid import UUID

from plastiq_async import (
    Ach,
    Address,
    AddressDetails,
    BankAccount,
    BankAccountDetails,
    BankAccountUpdate,
    Card,
    CardDetails,
    CardUpdate,
    Categories,
    Category,
    Charged,
    Check,
    ClientSecret,
    Contact,
    CreateRecipient,
    Documents,
    DocumentUpload,
    Eft,
    EndUser,
    Fee,
    IdentityDocument,
    Money,
    NewIdentityDocument,
    NotCharged,
    NotYet,
    Page,
    Paginator,
    Payer,
    Payers,
    Payment,
    PaymentDetails,
    PaymentIntent,
    PaymentIntents,
    PaymentIntentStatus,
    PaymentMethod,
    PaymentMethods,
    PaymentOrder,
    PaymentRefund,
    PaymentRefundStatus,
    Payments,
    PaymentStatus,
    PlastiqSession,
    RawResponse,
    ReceivingMethod,
    Recipient,
    RecipientAddress,
    Recipients,
    ResponseInfo,
    StatusReason,
    Unclear,
    Wire,
)
from plastiq_async._resources.unpaged import UnpagedListing
from plastiq_async.webhooks import WebhookEvent, WebhookEventName, parse_event
from tests._resources.widgets import SessionWithWidgets, Widget, Widgets


async def use_session(session: SessionWithWidgets) -> None:
    """Access a resource of a session and of a view."""
    assert_type(session.widgets, Widgets)
    view = session.with_options(end_user=EndUser(ip="203.0.113.7"))
    assert_type(view, SessionWithWidgets)
    assert_type(view.widgets, Widgets)
    async with session as entered:
        assert_type(entered, SessionWithWidgets)


async def call_methods(widgets: Widgets, some_id: UUID | str) -> None:
    """Call every kind of method."""
    assert_type(await widgets.retrieve(some_id, some_id), Widget)
    assert_type(await widgets.retrieve(widget_id=some_id, payer_id=some_id), Widget)
    assert_type(await widgets.create("A", payer_id=some_id), Widget)
    await widgets.create("A", payer_id=some_id, amount=Decimal("1.10"))
    await widgets.create("A", payer_id=some_id, amount=1, idempotency_key=some_id)
    assert_type(await widgets.update(some_id, name="B", amount=None), Widget)
    await widgets.delete(some_id, timeout=5, trace_id=some_id, end_user=EndUser())

    await widgets.create("A", some_id)  # type: ignore[call-arg]
    await widgets.create("A", payer_id=some_id, amount=1.1)  # type: ignore[arg-type]
    await widgets.update(some_id, status="RETIRED")  # type: ignore[call-arg]
    await widgets.delete(some_id, timeout="5")  # type: ignore[arg-type]
    await widgets.delete(some_id, retries=5)  # type: ignore[call-arg]
    widgets.list(some_id, retries=5)  # type: ignore[call-arg]
    widgets.list(some_id, 20)  # type: ignore[call-arg]


async def request(session: PlastiqSession, some_id: UUID | str) -> None:
    """Perform an operation that no resource has."""
    result = await session.request("GET", "/a/{id}", path_params={"id": some_id})
    assert_type(result, RawResponse)
    assert_type(result.data, object)
    assert_type(result.response, ResponseInfo)
    query = {"limit": 5, "payerId": some_id, "from": date(2026, 1, 2), "none": None}
    await session.request("GET", "/a", query=query, retry="always", timeout=5)
    body = {"amount": Decimal("1.10")}
    await session.request("POST", "/a", body=body, idempotency_key=some_id)
    await session.request("DELETE", "/a", extra_headers={"API-Key": "..."})
    await session.with_options(timeout=5).request("PATCH", "/a", body={})

    await session.request("PUT", "/a")  # type: ignore[arg-type]
    await session.request("GET")  # type: ignore[call-arg]
    await session.request("GET", "/a", {"a": 1})  # type: ignore[call-arg]
    await session.request("GET", "/a", retry="never")  # type: ignore[arg-type]
    await session.request("GET", "/a", query={"a": 1.5})  # type: ignore[dict-item]
    await session.request("POST", "/a", body=[1])  # type: ignore[arg-type]
    await session.request("GET", "/a", headers={})  # type: ignore[call-arg]
    extra: dict[str, int] = {"API-Key": 1}
    await session.request("GET", "/a", extra_headers=extra)  # type: ignore[arg-type]


def read_event(body: bytes, text: str) -> None:
    """Parse the body of a webhook."""
    event = parse_event(body)
    assert_type(event, WebhookEvent)
    assert_type(event.id, UUID)
    assert_type(event.event, WebhookEventName | str)
    assert_type(event.object_id, UUID)
    assert_type(event.data, Mapping[str, object])
    parse_event(text)
    parse_event({"id": text})  # type: ignore[arg-type]


async def list_widgets(widgets: Widgets, payer_id: UUID | str) -> None:
    """Await a listing, and iterate over it."""
    listing = widgets.list(payer_id, limit=20, offset=40, timeout=5)
    assert_type(listing, Paginator[Widget])
    assert_type(widgets.list(), Paginator[Widget])
    page = await listing
    assert_type(page, Page[Widget])
    assert_type(page.data, tuple[Widget, ...])
    assert_type(page.offset, int | None)
    assert_type(page.limit, int | None)
    assert_type(page.total, int | None)
    assert_type(page.has_next_page, bool)
    assert_type(page.response, ResponseInfo)
    assert_type(listing.pages(), AsyncIterator[Page[Widget]])
    assert_type(aiter(listing), AsyncIterator[Widget])
    async for widget in listing:
        assert_type(widget, Widget)
    async for each in listing.pages():
        assert_type(each, Page[Widget])
    assert_type([widget async for widget in listing], list[Widget])
    assert_type(await listing.collect(limit=500), list[Widget])
    await listing.collect()  # type: ignore[call-arg]
    await listing.collect(500)  # type: ignore[call-arg]
    await listing.collect(limit=None)  # type: ignore[arg-type]
    for _ in listing:  # type: ignore[attr-defined]
        pass
    page.data = ()  # type: ignore[misc]


async def list_without_pages(listing: UnpagedListing[Widget]) -> None:
    """Use a listing without offset and limit as any other."""
    paginator: Paginator[Widget] = listing
    assert_type(await paginator, Page[Widget])
    assert_type(await listing, Page[Widget])
    assert_type([widget async for widget in listing], list[Widget])
    assert_type(await listing.collect(limit=500), list[Widget])


def read_widget(widget: Widget) -> None:
    """Read a model."""
    assert_type(widget.id, UUID)
    assert_type(widget.payer_id, UUID)
    assert_type(widget.amount, Decimal)
    assert_type(widget.created_at, datetime)
    assert_type(widget.note, str | None)
    assert_type(widget.response, ResponseInfo)
    name: str = widget.status
    if widget.status == "ACTIVE":
        name = widget.name
    widget.name = name  # type: ignore[misc]


async def use_payers(payers: Payers, some_id: UUID | str, contact: Contact) -> None:
    """Call every method, and read a payer."""
    document = NewIdentityDocument(type="US_EIN", value="1")
    address = Address(line1="1", city="A", state="B", postal_code="1", country="US")
    payer = await payers.create(contact=contact)
    assert_type(payer, Payer)
    await payers.create(
        contact=contact,
        business_name="A",
        business_address=address,
        identity_documents=[document],
        timeout=5,
    )
    assert_type(await payers.retrieve(some_id), Payer)
    assert_type(await payers.retrieve(payer_id=some_id), Payer)
    assert_type(await payers.update(some_id, business_name=None), Payer)
    await payers.update(some_id, identity_documents=(document,), timeout=5)
    await payers.delete(some_id, trace_id=some_id)
    assert_type(payer.id, UUID)
    assert_type(payer.business_name, str | None)
    assert_type(payer.contact, Contact | None)
    assert_type(payer.business_address, AddressDetails | None)
    assert_type(payer.identity_documents, tuple[IdentityDocument, ...])
    assert_type(payer.identity_documents[0].id, UUID | None)
    assert_type(payer.created_at, datetime | None)
    assert_type(payer.response, ResponseInfo)
    status: str | None = payer.status
    if payer.status == "ACTIVE":
        status = payer.identity_documents[0].type
    payer.status = status  # type: ignore[misc]

    await payers.create()  # type: ignore[call-arg]
    await payers.create(contact)  # type: ignore[call-arg]
    await payers.create(contact=None)  # type: ignore[arg-type]
    await payers.create(contact=contact, identity_documents=document)  # type: ignore[arg-type]
    await payers.update(some_id, contact)  # type: ignore[call-arg]
    await payers.update(some_id, status="ACTIVE")  # type: ignore[call-arg]
    NewIdentityDocument(type="EIN", value="1")  # type: ignore[arg-type]
    NewIdentityDocument("US_EIN", "1")  # type: ignore[call-arg]


async def use_categories(categories: Categories) -> None:
    """List categories, and read one."""
    listing = categories.list(timeout=5)
    assert_type(listing, Paginator[Category])
    assert_type(await listing, Page[Category])
    async for category in listing:
        assert_type(category, Category)
        assert_type(category.id, UUID)
        assert_type(category.display_name, str | None)
        assert_type(category.response, ResponseInfo)
    categories.list(limit=5)  # type: ignore[call-arg]
    categories.list(offset=5)  # type: ignore[call-arg]


async def use_documents(session: PlastiqSession, some_id: UUID | str) -> None:
    """Ask for a place, and upload to it."""
    documents = session.documents
    assert_type(documents, Documents)
    place = await documents.create(some_id, filename="a.pdf", payment_id=some_id)
    assert_type(place, DocumentUpload)
    await documents.create(
        payer_id=some_id,
        filename="a",
        file_type="pdf",
        type="INVOICE",
        recipient_id=some_id,
        timeout=5,
    )
    assert_type(place.upload_url, str)
    assert_type(place.fields, Mapping[str, str])
    assert_type(place.filename, str | None)
    assert_type(place.response, ResponseInfo)
    await documents.upload(place, b"x")
    await documents.upload(upload=place, content=Path("a.pdf"), timeout=120)

    await documents.create(some_id, "a.pdf")  # type: ignore[call-arg]
    await documents.create(some_id, filename="a", file_type="png")  # type: ignore[arg-type]
    await documents.create(some_id, filename="a", type="RECEIPT")  # type: ignore[arg-type]
    await documents.upload(place, "a.pdf")  # type: ignore[arg-type]
    await documents.upload(place.upload_url, b"x")  # type: ignore[arg-type]
    place.fields["Key"] = "x"  # type: ignore[index]


def make_results(info: ResponseInfo, widget: Widget) -> None:
    """Build results by hand, as a test with stubbed methods does."""
    assert_type(Page(data=(widget,), response=info), Page[Widget])
    Page[Widget](data=(widget,), has_next_page=True, total=7, response=info)
    ClientSecret(client_secret="s3cr3t", response=info)
    DocumentUpload(upload_url="https://a.example", fields={"Key": "a"}, response=info)
    Page(data=(widget,))  # type: ignore[call-arg]


async def quote(
    session: PlastiqSession, some_id: UUID | str, new: CreateRecipient
) -> None:
    """Call the methods of payment intents."""
    intents = session.payment_intents
    assert_type(intents, PaymentIntents)
    details = PaymentDetails(account_name="Ada", account_number="7", memo=None)
    intent = await intents.create(
        payer_id=some_id,
        recipient=some_id,
        payment_method_id=some_id,
        target_amount=Money("100.10"),
    )
    assert_type(intent, PaymentIntent)
    await intents.create(
        payer_id=some_id,
        recipient=new,
        payment_method_id=some_id,
        target_amount=Money(100),
        details=details,
        metadata={"order": 7, "parts": [1.5, None]},
        timeout=5,
    )
    assert_type(await intents.retrieve(some_id, some_id), PaymentIntent)
    await intents.retrieve(payment_intent_id=some_id, payer_id=some_id, timeout=5)
    assert_type(await intents.update(some_id, metadata={}), PaymentIntent)
    await intents.update(some_id, target_amount=Money(1), details=details, timeout=5)

    await intents.create(some_id)  # type: ignore[call-arg]
    await intents.create(  # type: ignore[call-arg]
        payer_id=some_id, recipient=some_id, target_amount=Money(1)
    )
    await intents.create(
        payer_id=some_id,
        recipient=intent,  # type: ignore[arg-type]
        payment_method_id=some_id,
        target_amount=100,  # type: ignore[arg-type]
        metadata=[],  # type: ignore[arg-type]
    )
    await intents.retrieve(some_id)  # type: ignore[call-arg]
    await intents.update(some_id, Money(1))  # type: ignore[call-arg]
    await intents.update(some_id, payer_id=some_id)  # type: ignore[call-arg]


def read_quote(intent: PaymentIntent) -> None:
    """Read a payment intent."""
    assert_type(intent.id, UUID)
    assert_type(intent.fees, tuple[Fee, ...])
    assert_type(intent.source_amount, Money | None)
    assert_type(intent.target_amount, Money | None)
    assert_type(intent.payer_id, UUID | None)
    assert_type(intent.recipient_id, UUID | None)
    assert_type(intent.payment_method_id, UUID | None)
    assert_type(intent.details, PaymentDetails | None)
    assert_type(intent.status, PaymentIntentStatus | str | None)
    assert_type(intent.status_reasons, tuple[StatusReason, ...])
    assert_type(intent.delivery_date, date | None)
    assert_type(intent.expires_at, datetime | None)
    assert_type(intent.is_capturable, bool)
    assert_type(intent.is_expired(), bool)
    assert_type(intent.response, ResponseInfo)
    if intent.status == "NOT_CAPTURABLE":
        intent.status = "CAPTURABLE"  # type: ignore[misc]


async def pay(session: PlastiqSession, some_id: UUID | str) -> None:
    """Call the methods of payments."""
    payments = session.payments
    assert_type(payments, Payments)
    assert_type(await payments.create(some_id, some_id), Payment)
    await payments.create(
        payment_intent_id=some_id, payer_id=some_id, idempotency_key=some_id, timeout=5
    )
    order = payments.prepare(some_id, some_id, idempotency_key=some_id)
    assert_type(order, PaymentOrder)
    assert_type(await payments.submit(order, timeout=5), Payment)
    assert_type(order.to_json(), str)
    assert_type(PaymentOrder.from_json(""), PaymentOrder)
    outcome = await payments.outcome_of(order, timeout=5)
    match outcome:
        case Charged(payment=payment):
            assert_type(payment, Payment)
        case Unclear(candidates=candidates):
            assert_type(candidates, tuple[Payment, ...])
        case _:
            assert_type(outcome, NotYet | NotCharged)
    assert_type(await payments.retrieve(some_id, some_id), Payment)
    await payments.retrieve(payment_id=some_id, payer_id=some_id, timeout=5)
    assert_type(payments.list(some_id), Paginator[Payment])
    assert_type(await payments.list(payer_id=some_id, limit=5), Page[Payment])
    refund = await payments.refund(some_id, some_id)
    assert_type(refund, PaymentRefund)
    assert_type(refund.status, PaymentRefundStatus | str)
    assert_type(refund.succeeded, bool)
    await payments.refund(payment_id=some_id, payer_id=some_id, timeout=5)

    await payments.create(some_id)  # type: ignore[call-arg]
    await payments.create(some_id, some_id, some_id)  # type: ignore[call-arg]
    await payments.create(some_id, some_id, idempotency_key=7)  # type: ignore[arg-type]
    await payments.create(some_id, some_id, extra_body={})  # type: ignore[call-arg]
    await payments.submit(some_id)  # type: ignore[arg-type]
    await payments.submit(order, idempotency_key=some_id)  # type: ignore[call-arg]
    payments.prepare(some_id, some_id, timeout=5)  # type: ignore[call-arg]
    await payments.refund(some_id, some_id, amount=7)  # type: ignore[call-arg]
    await payments.refund(some_id)  # type: ignore[call-arg]
    payments.list()  # type: ignore[call-arg]


def read_payment(payment: Payment) -> None:
    """Read a payment."""
    assert_type(payment.id, UUID)
    assert_type(payment.status, PaymentStatus | str | None)
    assert_type(payment.idempotency_key, UUID | None)
    assert_type(payment.replayed, bool)
    assert_type(payment.fees, tuple[Fee, ...])
    assert_type(payment.source_amount, Money | None)
    assert_type(payment.payer_id, UUID | None)
    assert_type(payment.payment_intent_id, UUID | None)
    assert_type(payment.details, PaymentDetails | None)
    assert_type(payment.delivery_date, date | None)
    assert_type(payment.created_at, datetime | None)
    assert_type(payment.is_final, bool)
    assert_type(payment.is_returned, bool)
    assert_type(payment.response, ResponseInfo)
    payment.replayed = True  # type: ignore[misc]


async def call_recipients(recipients: Recipients, some_id: UUID | str) -> None:
    """Call every method of recipients."""
    address = Address(line1="1", city="A", state="TX", postal_code="7", country="US")
    bank = Ach(account_number="123456", routing_number="9" * 9, beneficiary_name="B")
    contact = Contact(email="bob@example.com")
    created = await recipients.create(
        business_name="Beans Inc.",
        category_id=some_id,
        business_address=RecipientAddress(line1="1", country="US"),
        contact=contact,
        receiving_method=Check(address=address),
        payer_id=some_id,
        timeout=5,
    )
    assert_type(created, Recipient)
    assert_type(await recipients.retrieve(some_id), Recipient)
    assert_type(await recipients.retrieve(some_id, some_id), Recipient)
    await recipients.retrieve(recipient_id=some_id, payer_id=some_id)
    assert_type(
        await recipients.update(some_id, business_name="B", payer_id=some_id), Recipient
    )
    await recipients.update(some_id, business_address=address, contact=contact)
    await recipients.delete(some_id, some_id, trace_id=some_id)
    listing = recipients.list(some_id, limit=20, offset=40, timeout=5)
    assert_type(listing, Paginator[Recipient])
    assert_type(recipients.list(), Paginator[Recipient])

    await recipients.create(receiving_method=bank)  # type: ignore[call-arg]
    await recipients.update(some_id, receiving_method=bank)  # type: ignore[call-arg]
    await recipients.update(some_id, contact="bob")  # type: ignore[arg-type]
    await recipients.update(some_id, "Beans Inc.")  # type: ignore[call-arg]
    recipients.list(some_id, status="ACTIVE")  # type: ignore[call-arg]
    CreateRecipient(
        business_name="Beans Inc.",
        category_id=some_id,
        business_address=Check(address=address),  # type: ignore[arg-type]
        contact=contact,
        receiving_method=bank,
    )
    Check(address=RecipientAddress(line1="1", country="US"))  # type: ignore[arg-type]


def read_recipient(recipient: Recipient, request: CreateRecipient) -> None:
    """Read a recipient, and the request for one."""
    assert_type(recipient.id, UUID)
    assert_type(recipient.business_name, str | None)
    assert_type(recipient.category_id, UUID | None)
    assert_type(recipient.business_address, AddressDetails | None)
    assert_type(recipient.contact, Contact | None)
    assert_type(recipient.payer_id, UUID | None)
    assert_type(recipient.created_at, datetime | None)
    assert_type(recipient.response, ResponseInfo)
    status: str | None = recipient.status
    method = recipient.receiving_method
    assert_type(method, ReceivingMethod | None)
    if method is not None:
        status = method.type
        assert_type(method.account_last_four, str | None)
        assert_type(method.account_number, str | None)
        assert_type(method.country, str | None)
    assert_type(request.category_id, UUID)
    assert_type(request.payer_id, UUID | None)
    assert_type(request.receiving_method, Ach | Check | Eft | Wire)
    match request.receiving_method:
        case Check(address=address):
            assert_type(address, Address)
        case Ach() | Eft() | Wire() as bank:
            status = bank.account_number
    recipient.status = status  # type: ignore[misc]


async def call_payment_methods(
    session: PlastiqSession, some_id: UUID | str, card: Card, account: BankAccount
) -> None:
    """Call the methods of payment methods."""
    methods = session.payment_methods
    assert_type(methods, PaymentMethods)
    assert_type(await methods.create(some_id, data=card), PaymentMethod)
    assert_type(await methods.create(payer_id=some_id, data=account), PaymentMethod)
    assert_type(await methods.retrieve(some_id, some_id, timeout=5), PaymentMethod)
    change = CardUpdate(cvv="123", expiration_year="2031")
    assert_type(await methods.update(some_id, some_id, data=change), PaymentMethod)
    await methods.update(
        payment_method_id=some_id, payer_id=some_id, data=BankAccountUpdate()
    )
    await methods.delete(payment_method_id=some_id, trace_id=some_id)
    assert_type(methods.list(some_id, limit=5, offset=5), Paginator[PaymentMethod])
    assert_type(await methods.list(payer_id=some_id), Page[PaymentMethod])

    await methods.create(some_id, card)  # type: ignore[call-arg]
    await methods.create(some_id, data=change)  # type: ignore[arg-type]
    await methods.update(some_id, some_id, data=card)  # type: ignore[arg-type]
    await methods.delete(some_id, payer_id=some_id)  # type: ignore[call-arg]
    methods.list()  # type: ignore[call-arg]


def make_payment_methods(address: Address) -> None:
    """Build the requests of payment methods."""
    Card(
        card_holder_name="Ada",
        account_number="4242424242424242",
        cvv="123",
        expiration_month="04",
        expiration_year="2031",
        billing_address=address,
    )
    Card(cvv="123")  # type: ignore[call-arg]
    CardUpdate()  # type: ignore[call-arg]
    CardUpdate(cvv=123)  # type: ignore[arg-type]
    BankAccountUpdate(account_number="1234")  # type: ignore[call-arg]


def read_payment_method(method: PaymentMethod, card: CardDetails) -> None:
    """Read a payment method."""
    assert_type(method.id, UUID)
    assert_type(method.is_active, bool)
    assert_type(method.status_reasons, tuple[StatusReason, ...])
    assert_type(method.response, ResponseInfo)
    assert_type(method.data, CardDetails | BankAccountDetails | None)
    if method.data is not None and method.data.type == "CARD":
        assert_type(method.data, CardDetails)
    match method.data:
        case CardDetails(last4=last4):
            assert_type(last4, str | None)
        case BankAccountDetails(account_last_four=last_four):
            assert_type(last_four, str | None)
        case None:
            pass
    assert_type(card.created_at, datetime | None)
    assert_type(card.billing_address, AddressDetails | None)
    method.data = None  # type: ignore[misc]
