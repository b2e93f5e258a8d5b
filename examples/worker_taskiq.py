"""Create client secrets in worker processes, with taskiq on Redis Streams.

Start workers on any number of machines, then enqueue tasks::

    taskiq worker worker_taskiq:broker --app-dir examples --workers 2
    python examples/worker_taskiq.py PAYER_ID ...

Requires taskiq, taskiq-redis, and Redis 6.2 or later at REDIS_URL. The workers read
PLASTIQ_ACCESS_TOKEN and PLASTIQ_BASE_URL or PLASTIQ_ENVIRONMENT. Together they send at
most as many requests a minute as the API allows.

The task's result is stored in Redis and contains the client secret. It is deleted when
it is first read, and always before the secret expires. Protect Redis with a password
and TLS (``rediss://``), turn off persistence (``save "" appendonly no``), and never
print a result. Arguments and labels contain the payer ID, the trace ID and a time, but
no secret.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncGenerator
from typing import Any
from uuid import uuid4

import anyio
from redis.asyncio import Redis
from taskiq import (
    AckableMessage,
    Context,
    TaskiqDepends,
    TaskiqEvents,
    TaskiqMessage,
    TaskiqMiddleware,
    TaskiqResultTimeoutError,
    TaskiqState,
)
from taskiq.serializers import JSONSerializer
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from plastiq_async import PlastiqError, PlastiqSession, current_trace_id, trace_context
from plastiq_async.integrations.limits import RedisRateLimiter

REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")
MAX_REQUESTS_PER_MINUTE = 200  # of the API key, which all workers use

# In seconds, in ascending order.
CALL_TIMEOUT = 20  # of a call with its wait for the rate limit: some 70 tasks at once
CLAIM_AFTER = 22  # a task not acknowledged by then goes to another worker
RESULT_TIMEOUT = 30  # the browser waits so long: enough for a dead worker and a call
RESULT_LIFETIME = 35  # a secret's 60, minus CALL_TIMEOUT and a margin


class Broker(RedisStreamBroker):
    """Redis stream broker that claims the tasks of dead workers in time.

    The base class, as of taskiq-redis 1.2.4, claims them only after a new task has
    arrived.
    """

    async def listen(self) -> AsyncGenerator[AckableMessage, None]:
        """Yield tasks; each is fetched only when the worker can run it at once."""
        consumer = (self.consumer_group_name, self.consumer_name)
        cursor = b"0-0"
        async with Redis(connection_pool=self.connection_pool) as redis:
            while True:
                cursor, tasks, *_ = await redis.xautoclaim(
                    self.queue_name, *consumer, self.idle_timeout, cursor, count=1
                )
                if not tasks:
                    new: Any = await redis.xreadgroup(
                        *consumer, {self.queue_name: ">"}, count=1, block=self.block
                    )
                    tasks = new[0][1] if new else []
                for task_id, fields in tasks:
                    yield AckableMessage(
                        data=fields[b"data"],
                        ack=self._ack_generator(task_id, self.queue_name),
                    )


class Labels(TaskiqMiddleware):
    """Middleware that labels tasks with a trace ID and a time limit."""

    def pre_send(self, message: TaskiqMessage) -> TaskiqMessage:
        """Add the labels before the task is enqueued."""
        message.labels["trace_id"] = str(current_trace_id() or uuid4())
        message.labels["wanted_until"] = time.time() + RESULT_TIMEOUT
        return message


broker = Broker(
    REDIS_URL,
    queue_name="client-secrets",
    consumer_id="0",  # a new group also gets tasks that were enqueued before it existed
    idle_timeout=CLAIM_AFTER * 1000,
    xread_block=1000,  # the time in which a worker notices that it should stop
    maxlen=100_000,  # finished tasks stay in the stream until it is trimmed
    # With a timeout, redis-py swallows cancellations on Python 3.11 and never stops.
    socket_timeout=None,
)
broker.add_middlewares(Labels())
broker.result_backend = RedisAsyncResultBackend(
    REDIS_URL,
    keep_results=False,
    result_ex_time=RESULT_LIFETIME,
    prefix_str="client-secret",
    # The default is pickle, with which write access to Redis allows code execution.
    serializer=JSONSerializer(),
)


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def open_session(state: TaskiqState) -> None:
    """Open the session of this worker process."""
    state.redis = Redis.from_url(REDIS_URL)
    limiter = RedisRateLimiter(
        state.redis, name="plastiq", max_requests_per_minute=MAX_REQUESTS_PER_MINUTE
    )
    state.plastiq = PlastiqSession(timeout=CALL_TIMEOUT, rate_limiter=limiter)


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def close_session(state: TaskiqState) -> None:
    """Close the session after the last task."""
    await state.plastiq.aclose()
    await state.redis.aclose()


@broker.task("create_client_secret")  # the default name depends on how it is started
async def create_client_secret(
    payer_id: str,
    context: Context = TaskiqDepends(),  # noqa: B008 -- how taskiq injects it
) -> dict[str, str]:
    """Create a client secret for a payer, unless the time limit of the task is over."""
    plastiq: PlastiqSession = context.state.plastiq
    labels = context.message.labels
    left = labels["wanted_until"] - time.time()
    if left <= 0:
        return {"error": "too late"}
    try:
        with trace_context(labels["trace_id"]):
            secret = await plastiq.client_secrets.create(
                payer_id, timeout=min(CALL_TIMEOUT, left)
            )
    except PlastiqError as error:
        return {"error": str(error)}
    return {
        "client_secret": secret.client_secret,
        "expires_at": secret.expires_at.isoformat(),
    }


async def request_secret(payer_id: str) -> None:
    """Enqueue a task for a payer, and print its result without the secret."""
    with trace_context() as trace_id:
        task = await create_client_secret.kiq(payer_id)
    try:
        result = await task.wait_result(check_interval=0.1, timeout=RESULT_TIMEOUT)
    except TaskiqResultTimeoutError:
        print(trace_id, "no result in time")
        return
    value = result.raise_for_error().return_value  # no longer in Redis
    print(trace_id, value.get("error") or f"expires at {value['expires_at']}")


async def main(payer_ids: list[str]) -> None:
    """Request all secrets concurrently."""
    await broker.startup()
    async with anyio.create_task_group() as tasks:
        for payer_id in payer_ids:
            tasks.start_soon(request_secret, payer_id)
    await broker.shutdown()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1:] or [os.environ["PLASTIQ_PAYER_ID"]])
