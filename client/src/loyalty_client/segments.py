"""Segments: listed, shown, predicted, and how they move."""

from collections.abc import Mapping
from typing import Any

import httpx

from loyalty_client.answers import (
    SegmentAllAnswer,
    SegmentAnswer,
    SegmentDefinitionAnswer,
    SegmentStatsAnswer,
    SegmentSummary,
)
from loyalty_client.calls import Calls
from loyalty_client.jobs import Told, answer_of, wait
from loyalty_client.reading import field
from loyalty_client.steps import Plan, Request, segment_of_path


def segments(calls: Calls) -> Plan[list[SegmentSummary]]:
    """Every segment's summary, in order of `segment_id`."""
    found: list[SegmentSummary] = []
    token: str | None = None
    while True:
        page = yield from calls.get("/segments", next=token)
        found += field(page, "segments", list)
        token = page.get("next")
        if not token:
            return found


def segment(calls: Calls, segment_id: str) -> Plan[SegmentDefinitionAnswer]:
    answer: SegmentDefinitionAnswer = yield from calls.get(f"/segments/{segment_of_path(segment_id)}")
    return answer


def stats(calls: Calls, segment_id: str, history: int | None, told: Told) -> Plan[SegmentStatsAnswer]:
    query: dict[str, str | int] = {} if history is None else {"history": history}
    request = Request("GET", f"/segments/{segment_of_path(segment_id)}/ml/stats", query=query)
    answer: SegmentStatsAnswer = yield from _at_once_or_by_a_job(calls, request, told)
    return answer


def predict_segment(
    calls: Calls, segment_id: str, body: Mapping[str, Any], query: Mapping[str, str | int], told: Told
) -> Plan[SegmentAnswer | SegmentAllAnswer]:
    path = f"/segments/{segment_of_path(segment_id)}/ml/predict"
    request = Request("POST", path, json=body, newer=("explain",), query=query)
    answer: SegmentAnswer | SegmentAllAnswer = yield from _at_once_or_by_a_job(calls, request, told)
    return answer


def ranking(top: int | None, offer: str | None, *, include_lapsed: bool) -> dict[str, str | int]:
    """The query of a segment's ranking: the service says what does not go together."""
    given = {"top": top, "offer": offer, "include": "lapsed" if include_lapsed else None}
    return {name: value for name, value in given.items() if value is not None}


def _at_once_or_by_a_job(calls: Calls, request: Request, told: Told) -> Plan[Any]:
    """The answer; if it takes too long for a request, that of the job which the service has made of it."""
    response, answer = yield from calls.respond(request)
    if response.status_code != httpx.codes.ACCEPTED:
        return answer
    job = yield from wait(calls, field(answer, "job_id", str), None, told)
    return answer_of(job)
