"""Create client secrets in worker processes, behind a queue: taskiq on Redis Streams.

Start workers, on as many machines as you like, then ask them for secrets::

    taskiq worker worker_taskiq:broker --app-dir examples --workers 2
    python examples/worker_taskiq.py PAYER_ID ...

Needs taskiq, taskiq-redis and, at REDIS_URL, Redis 6.2 or newer. The workers read
PLASTIQ_ACCESS_TOKEN and PLASTIQ_BASE_URL or PLASTIQ_ENVIRONMENT.

The secret passes through Redis as the task's result: the first to read it deletes it,
and it is gone before it expires. So give Redis a password, TLS (``rediss://``) and no
disk (``save "" appendonly no``), and never print a result. Arguments and labels hold
the payer's ID, the trace ID and a time, no secret.
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

REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")

# Seconds, each of them more than the one before.
CALL = 5  # the deadline of a call, retries included
CLAIM = 8  # not acknowledged by then: the worker is dead, another one takes the task
PATIENCE = 30  # the browser waits this long: two dead workers and a call fit in
RESULT = 50  # a secret's 60, less the CALL that it may be old by then, and a margin


class Broker(RedisStreamBroker):
    """A stream whose tasks are acknowledged once their result is stored.

    The base class, as of taskiq-redis 1.2.4, looks for the tasks of dead workers only
    after a new task has come.
    """

    async def listen(self) -> AsyncGenerator[AckableMessage, None]:
        """Yield tasks, each fetched only when there is room to run it at once."""
        me = (self.consumer_group_name, self.consumer_name)
        cursor = b"0-0"
        async with Redis(connection_pool=self.connection_pool) as redis:
            while True:
                cursor, tasks, *_ = await redis.xautoclaim(
                    self.queue_name, *me, self.idle_timeout, cursor, count=1
                )
                if not tasks:
                    new: Any = await redis.xreadgroup(
                        *me, {self.queue_name: ">"}, count=1, block=self.block
                    )
                    tasks = new[0][1] if new else []
                for task_id, fields in tasks:
                    yield AckableMessage(
                        data=fields[b"data"],
                        ack=self._ack_generator(task_id, self.queue_name),
                    )


class Labels(TaskiqMiddleware):
    """Send along the trace ID, and until when somebody waits for the result."""

    def pre_send(self, message: TaskiqMessage) -> TaskiqMessage:
        """Label a task that is about to be enqueued."""
        message.labels["trace_id"] = str(current_trace_id() or uuid4())
        message.labels["wanted_until"] = time.time() + PATIENCE
        return message


broker = Broker(
    REDIS_URL,
    queue_name="client-secrets",
    consumer_id="0",  # a new group begins with what was enqueued before it was there
    idle_timeout=CLAIM * 1000,
    xread_block=1000,  # how long a stopping worker may need to notice
    maxlen=100_000,  # what is done stays in a stream until it is trimmed
    # With one, redis-py swallows cancellations on Python 3.11: it never stops.
    socket_timeout=None,
)
broker.add_middlewares(Labels())
broker.result_backend = RedisAsyncResultBackend(
    REDIS_URL,
    keep_results=False,
    result_ex_time=RESULT,
    prefix_str="client-secret",
    # Not its default, pickle: who can write to Redis could run code in who reads it.
    serializer=JSONSerializer(),
)


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def open_session(state: TaskiqState) -> None:
    """Open the one session of this worker process."""
    state.plastiq = PlastiqSession(timeout=CALL)


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def close_session(state: TaskiqState) -> None:
    """Close it, after the last task."""
    await state.plastiq.aclose()


@broker.task("create_client_secret")  # else the name would tell how it was started
async def create_client_secret(
    payer_id: str,
    context: Context = TaskiqDepends(),  # noqa: B008 -- how taskiq injects it
) -> dict[str, str]:
    """Create a client secret for a payer, unless nobody waits for it any more."""
    plastiq: PlastiqSession = context.state.plastiq
    labels = context.message.labels
    left = labels["wanted_until"] - time.time()
    if left <= 0:
        return {"error": "too late"}
    try:
        with trace_context(labels["trace_id"]):
            secret = await plastiq.client_secrets.create(
                payer_id, timeout=min(CALL, left)
            )
    except PlastiqError as error:
        return {"error": str(error)}
    return {
        "client_secret": secret.client_secret,
        "expires_at": secret.expires_at.isoformat(),
    }


async def ask(payer_id: str) -> None:
    """Enqueue a payer, wait for the result, and print what may be printed of it."""
    with trace_context() as trace_id:
        task = await create_client_secret.kiq(payer_id)
    try:
        result = await task.wait_result(check_interval=0.1, timeout=PATIENCE)
    except TaskiqResultTimeoutError:
        print(trace_id, "no answer in time")
        return
    answer = result.raise_for_error().return_value  # in Redis it is gone now
    print(trace_id, answer.get("error") or f"expires at {answer['expires_at']}")


async def main(payer_ids: list[str]) -> None:
    """Ask for all of them at once."""
    await broker.startup()
    async with anyio.create_task_group() as tasks:
        for payer_id in payer_ids:
            tasks.start_soon(ask, payer_id)
    await broker.shutdown()


if __name__ == "__main__":
    anyio.run(main, sys.argv[1:] or [os.environ["PLASTIQ_PAYER_ID"]])
