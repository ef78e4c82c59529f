"""Events of the service on EventBridge, for whoever waits for the end of a job or for new models and snapshots."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import orjson
from botocore.exceptions import BotoCoreError, ClientError

from loyalty_ml.telemetry import logger


class EventBridge(Protocol):
    """What is used of boto3's client."""

    def put_events(self, *, Entries: Sequence[Mapping[str, str]]) -> Mapping[str, Any]: ...  # noqa: N803


Source = Literal["loyalty.job", "loyalty.models", "loyalty.snapshot"]

DETAIL_TYPES: Mapping[Source, str] = {
    "loyalty.job": "Job ended",
    "loyalty.models": "Model set active",
    "loyalty.snapshot": "Feature snapshot active",
}


class Events:
    """Sends to the account's default bus. What it cannot send it logs: no work fails for want of an event."""

    def __init__(self, eventbridge: EventBridge) -> None:
        self._eventbridge = eventbridge

    def send(self, source: Source, detail: Mapping[str, Any]) -> None:
        # The bus is the account's: `service` tells the events of two deployments apart.
        own = {"service": logger.service, **detail}
        entry = {"Source": source, "DetailType": DETAIL_TYPES[source], "Detail": orjson.dumps(own).decode()}
        try:
            answer = self._eventbridge.put_events(Entries=[entry])
            cause = answer["Entries"][0].get("ErrorCode") if answer["FailedEntryCount"] else None
        except (ClientError, BotoCoreError) as error:
            cause = type(error).__name__
        if cause:
            logger.error("An event was not sent", source=source, detail=detail, cause=cause)
