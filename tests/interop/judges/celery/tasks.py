"""The tasks that the Celery judge runs. BROKER says where; CELERY_SCRATCH is a folder for marks."""

import os
import pathlib
import signal

from celery import Celery
from kombu import Queue

app = Celery("tasks", broker=os.environ["BROKER"], backend="rpc://")
app.conf.update(
    task_queues=[Queue("judge", queue_arguments={"x-max-priority": 10})],
    task_default_queue="judge", result_expires=600, task_acks_late=True,
    task_reject_on_worker_lost=True, worker_prefetch_multiplier=1,
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True)


@app.task
def add(a, b):
    """A sum."""
    return a + b


@app.task(bind=True, max_retries=3)
def flaky(self, failures):
    """Fails some times; returns how often it was retried."""
    if self.request.retries < failures:
        raise self.retry(countdown=0.2)
    return self.request.retries


@app.task
def fail():
    """Always fails."""
    raise ValueError("wanted")


@app.task
def die_once(name):
    """Kills its own process, the first time."""
    mark = pathlib.Path(os.environ["CELERY_SCRATCH"]) / name
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "second life"
