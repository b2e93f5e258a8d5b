"""`Payments`: ``/payments`` of the public API document, version 1.0.0."""

from datetime import UTC, datetime
from typing import Unpack
from uuid import UUID, uuid4

from plastiq_async._call import check_option_names
from plastiq_async._operation import Operation
from plastiq_async._resources.base import Resource, path_id, payer_query, with_trace_id
from plastiq_async._resources.paginator import LARGEST_PAGE, Paginator
from plastiq_async._resources.payment_intents import PaymentIntents
from plastiq_async._resources.payment_orders import find_outcome, submission
from plastiq_async._secrets import encode_body
from plastiq_async._validate import check_uuid
from plastiq_async.models.common import CallOptions
from plastiq_async.models.pages import Page
from plastiq_async.models.payment_orders import (
    PaymentOrder,
    PaymentOutcome,
    check_order,
)
from plastiq_async.models.payments import Payment, PaymentRefund


class Payments(Resource):
    """Payments, which charge the payer, and their refunds."""

    def prepare(
        self,
        payment_intent_id: UUID | str,
        payer_id: UUID | str,
        *,
        idempotency_key: UUID | str | None = None,
    ) -> PaymentOrder:
        """Return an order to pay a payment intent, to be stored before `submit`.

        It sends nothing. Prepare one order for each decision to pay, and submit the
        same order for each further try of that decision.

        Args:
            payment_intent_id: The UUID of a payment intent whose status is capturable.
            payer_id: The UUID of the payer.
            idempotency_key: A UUID of version 4; the API ignores other keys silently.
                Default: a new one.

        Returns:
            The order, with its idempotency key.

        Raises:
            InvalidArgumentError: An argument is not valid.
        """
        return PaymentOrder(
            idempotency_key=uuid4() if idempotency_key is None else idempotency_key,
            payment_intent_id=payment_intent_id,
            payer_id=payer_id,
            created_at=datetime.now(UTC),
        )

    async def submit(
        self, order: PaymentOrder, **options: Unpack[CallOptions]
    ) -> Payment:
        """Pay for an order: charge the payer, at most once however often it is sent.

        Store the order before the call, because without it a call that was interrupted
        cannot be repeated safely. The server stores the response under the order's
        idempotency key, also that of a declined payment.

        The call is retried after transient errors with the same key. While the server
        processes an earlier request with the key, the call waits for its result until
        the deadline. A success says that the payment was accepted, not that it is paid:
        watch its status.

        Args:
            order: What `prepare` returned, or a copy that was stored.
            options: `CallOptions`.

        Returns:
            The payment. Its `replayed` tells whether an earlier request with the key,
            of this call or another one, had already created it.

        Raises:
            InvalidArgumentError: An argument is not valid. Nothing was sent.
            SessionStateError: The session is closed, or belongs to another event loop.
            BadRequestError: The payment was refused. With `next_step` ``"new_key"``, a
                card was declined: ask the payer for another payment method, and
                prepare a new order. With ``"reconcile"``, the payment intent has
                expired, or is paid already.
            ConflictError: Another request with the key was in flight until the
                deadline. Submit the order again.
            APITimeoutError: The deadline passed. Unless `outcome_unknown` is False, the
                payer may have been charged: submit the order again.
            APIConnectionError: There was no response, retries included; likewise.
            APIStatusError: The API refused; there is a subclass for each status. Do
                what its `next_step` says.
            APIResponseError: The response violates the contract, such as a payment of
                another payer. Submit the order again.
        """
        return await self._pipeline.run(submission(check_order(order)), options)

    async def create(
        self,
        payment_intent_id: UUID | str,
        payer_id: UUID | str,
        *,
        idempotency_key: UUID | str | None = None,
        **options: Unpack[CallOptions],
    ) -> Payment:
        """Pay a payment intent: `prepare` and `submit` in one.

        It charges at most once per idempotency key. Without a stored key, a call that
        a crash interrupted cannot be repeated safely. So store a key of yours with the
        order before the call, or use `prepare` and `submit`.

        Args:
            payment_intent_id: The UUID of a payment intent whose status is capturable.
            payer_id: The UUID of the payer.
            idempotency_key: A UUID of version 4; the API ignores other keys silently.
                Default: a new one, which is on the payment and on each error of the
                call.
            options: `CallOptions`.

        Returns:
            The payment, as `submit` returns it.

        Raises:
            InvalidArgumentError: An argument is not valid. Nothing was sent.
            PlastiqError: Likewise the errors of `submit`. To submit the order again,
                call again with the same key.
        """
        order = self.prepare(
            payment_intent_id, payer_id, idempotency_key=idempotency_key
        )
        return await self.submit(order, **options)

    async def outcome_of(
        self, order: PaymentOrder, **options: Unpack[CallOptions]
    ) -> PaymentOutcome:
        """Find out by reading whether the payment intent of an order was paid.

        It changes nothing, and this library never calls it by itself. Submit the order
        again first, because a replay tells exactly what became of it. Use this if the
        server may have forgotten the key, or after an error with `next_step`
        ``"reconcile"``. See ``docs/charge-exactly-once.md``.

        It reads the payment intent and, if that was paid, lists the payments of the
        payer until it finds the one, at most 10,000. Each request is a call of its own,
        with its own deadline, which is retried after transient errors. All of them
        carry the same trace ID.

        Args:
            order: What `prepare` returned, or a copy that was stored.
            options: `CallOptions`, for each request.

        Returns:
            `Charged`, `NotYet`, `NotCharged` or `Unclear`. A payment that the server
            does not list yet is `Unclear`. `NotCharged` may be wrong while the server
            still processes an earlier request: submit the same order again first,
            which raises `ConflictError` then, and do not rely on `NotCharged` within
            a minute of the payment intent's `expires_at`.

        Raises:
            InvalidArgumentError: An argument is not valid.
            PlastiqError: A request failed, with the errors of `retrieve`. That tells
                nothing of the payment, a `NotFoundError` included.
        """
        check_option_names("payments.outcome_of", options)
        order = check_order(order)
        options = with_trace_id(options)
        intents = PaymentIntents(self._pipeline)
        ids = order.payment_intent_id, order.payer_id
        intent = await intents.retrieve(*ids, **options)
        return await find_outcome(intent, self.list(order.payer_id, **options))

    async def retrieve(
        self,
        payment_id: UUID | str,
        payer_id: UUID | str,
        **options: Unpack[CallOptions],
    ) -> Payment:
        """Return a payment, such as to learn its status.

        The call is retried after transient errors, because it changes nothing.

        Args:
            payment_id: The UUID of the payment.
            payer_id: The UUID of the payer.
            options: `CallOptions`.

        Returns:
            The payment.

        Raises:
            InvalidArgumentError: An argument is not valid.
            SessionStateError: The session is closed, or belongs to another event loop.
            NotFoundError: The payer has no such payment.
            APITimeoutError: The deadline passed.
            APIConnectionError: There was no response, retries included.
            APIStatusError: The API refused; there is a subclass for each status.
            APIResponseError: The response violates the contract.
        """
        payment_id = check_uuid("payment_id", payment_id)
        payer_id = check_uuid("payer_id", payer_id)
        operation = Operation(
            name="payments.retrieve",
            method="GET",
            path="/payments/{id}",
            path_params=path_id(payment_id),
            query=payer_query(payer_id),
            harmless=True,
            result=Payment,
            expected={
                "id": payment_id,
                "payer_id": payer_id,
            },
        )
        return await self._pipeline.run(operation, options)

    async def refund(
        self,
        payment_id: UUID | str,
        payer_id: UUID | str,
        **options: Unpack[CallOptions],
    ) -> PaymentRefund:
        """Refund or cancel a whole payment; the server decides which of them.

        **A response with status 200 can say that the refund failed**: look at
        `succeeded`. There are no partial refunds, and what was sent electronically can
        no longer be called back.

        The API takes no idempotency key here, so the call is never sent again once a
        request may have arrived. After an error with `outcome_unknown`, read the
        payment with `retrieve`: `is_returned` tells whether it was refunded.

        Args:
            payment_id: The UUID of the payment.
            payer_id: The UUID of the payer.
            options: `CallOptions`.

        Returns:
            The result, which may be a failure.

        Raises:
            InvalidArgumentError: An argument is not valid. Nothing was sent.
            SessionStateError: The session is closed, or belongs to another event loop.
            NotFoundError: There is no such payment.
            APITimeoutError: The deadline passed. Unless `outcome_unknown` is False, the
                payment may have been refunded.
            APIConnectionError: There was no response; likewise.
            APIStatusError: The API refused; there is a subclass for each status. After
                408, 409 and 5xx, the payment may have been refunded.
            APIResponseError: The response violates the contract; likewise.
        """
        payment_id = check_uuid("payment_id", payment_id)
        operation = Operation(
            name="payments.refund",
            method="POST",
            path="/payments/{id}/refunds",
            path_params=path_id(payment_id),
            body=encode_body({"payerId": check_uuid("payer_id", payer_id)}),
            harmless=False,
            result=PaymentRefund,
        )
        return await self._pipeline.run(operation, options)

    def list(
        self,
        payer_id: UUID | str,
        *,
        limit: int = LARGEST_PAGE,
        offset: int = 0,
        **options: Unpack[CallOptions],
    ) -> Paginator[Payment]:
        """List the payments of a payer: await the first page, or iterate over all.

        Each page is a call of its own, which is retried after transient errors.

        Args:
            payer_id: The UUID of the payer.
            limit: The largest number of payments on a page, 1 to 100.
            offset: The number of payments to skip.
            options: `CallOptions`, for each page.

        Returns:
            The listing. No request is sent before it is awaited or iterated over. The
            API promises no order.

        Raises:
            InvalidArgumentError: An argument is not valid. A page that fails raises the
                errors of `retrieve`.
        """
        payer_id = check_uuid("payer_id", payer_id)
        operation = Operation(
            name="payments.list",
            method="GET",
            path="/payments",
            query=payer_query(payer_id),
            harmless=True,
            result=Page[Payment],
        )
        return Paginator(self._pipeline, operation, options, limit=limit, offset=offset)
