"""How a function starts: its parts made once a process, and on Lambda before its first request."""

import functools
import os
import random
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from pydantic import ValidationError

from loyalty_ml.wiring.predict import ModelParts
from loyalty_ml.wiring.settings import Settings

PartsT = TypeVar("PartsT", bound=ModelParts)
SettingsT = TypeVar("SettingsT", bound=Settings)
HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])


def once(make: Callable[[SettingsT], PartsT], settings: type[SettingsT]) -> Callable[[], PartsT]:
    """Gives the parts of this process, of the settings in its environment: made when first asked for, and then kept."""
    return functools.cache(lambda: make(settings.read(os.environ)))


def answering_golden(parts: Callable[[], PartsT], handler: HandlerT) -> HandlerT:
    """The handler, which also answers what a new version is asked before it is called (functions/before_traffic).

    Neither a request, a message nor a task of a state machine is such an event.
    """

    def answer(event: Any, context: Any) -> Any:
        if event.get("task") == "golden_answers":
            return parts().models.golden_answers()
        return handler(event, context)

    return cast("HandlerT", answer)


def initialize(parts: Callable[[], PartsT], needed: Callable[[PartsT], Iterable[object]]) -> None:
    """Does while a function is imported on Lambda what its first request would wait for. Elsewhere it does nothing.

    needed: names the parts to make, clients and all: INIT has a whole vCPU however little memory the function has.
    Models are loaded where no request waits for it, before a snapshot (SnapStart) or in provisioned concurrency: on
    demand one does, and where S3 hangs for INIT's 10 s, Lambda begins again. What cannot be had is said at the request.
    """
    started = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE")
    if started is None:
        return
    try:
        own = parts()
    except ValidationError:
        return
    needed(own)
    if started == "on-demand":
        return
    own.models.current()
    if started == "snap-start":
        from snapshot_restore_py import register_after_restore  # noqa: PLC0415  the runtime has it, and only the runtime

        own.s3.close()  # no instance is to wake with another's connections
        register_after_restore(functools.partial(_restored, own))


def _restored(parts: ModelParts) -> None:
    # By the clock of the process, no time has passed since the snapshot, which may be weeks old.
    parts.models.look_again()
    # Or all instances would wait for a throttled table in step.
    random.seed()
