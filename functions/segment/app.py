"""Segments: their definitions, predictions for every member, statistics and how they moved."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Query

from loyalty_ml import errors
from loyalty_ml.api import http, jobs, preconditions, reading
from loyalty_ml.api.deadline import Deadline, TakesTooLong
from loyalty_ml.api.preconditions import IfMatch, IfNew, IfNoneMatch, IfSeen, Prefer
from loyalty_ml.models.card import MAX_CODE_CHARACTERS
from loyalty_ml.segments.contracts import (
    ListUploadAnswer,
    SegmentAllAnswer,
    SegmentAnswer,
    SegmentDefinitionAnswer,
    SegmentListAnswer,
    SegmentPredictRequest,
    SegmentStatsAnswer,
)
from loyalty_ml.segments.definition import Segment, SegmentDefinition, is_segment_id
from loyalty_ml.segments.history import MAX_ENTRIES
from loyalty_ml.segments.lists import announce, described
from loyalty_ml.segments.predictions import MAX_TOP, Ranking
from loyalty_ml.segments.preview import SegmentPreviewAnswer
from loyalty_ml.segments.service import Steps
from loyalty_ml.segments.store import PAGE
from loyalty_ml.segments.uploaded_list import MAX_FILE_BYTES
from loyalty_ml.vocabulary import Include, rfc3339
from loyalty_ml.wiring import start
from loyalty_ml.wiring.segment import SegmentParts
from loyalty_ml.wiring.settings import SegmentSettings

Limit = Annotated[int, Query(ge=1, le=PAGE, description="The most segments in the answer")]
Next = Annotated[str | None, Query(alias="next", description="Page token: `next` of the answer before")]
Top = Annotated[
    int | None,
    Query(
        ge=1,
        le=MAX_TOP,
        description="Show this many members, with the highest probability of leaving or of taking `offer` first",
    ),
]
Offer = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=MAX_CODE_CHARACTERS,
        description="The code of the offer that `top` orders by; a number that is no code is taken as an `offer_id`",
    ),
]
Included = Annotated[
    Include | None,
    Query(
        alias="include",
        description="`lapsed`: `top` ranks those too who have lapsed; without it, it leaves them out",
    ),
]
Entries = Annotated[
    int | None,
    Query(alias="history", ge=1, le=MAX_ENTRIES, description="The most entries of `history`; the latest are kept"),
]
RESERVE_SECONDS = 5.0
"""Of the function's timeout, for what comes after an answer that takes too long: its job is recorded and sent."""

_AS_A_JOB: dict[int, Any] = {202: jobs.started_response("The answer takes longer than a request may: a job makes it")}
_SERVED_ERRORS = (
    errors.InvalidRequest,
    errors.SegmentNotFound,
    errors.ModelUnavailable,
    errors.FeatureStoreUnavailable,
    errors.StoreUnavailable,
)


def _definition(description: str) -> Any:
    """An OpenAPI response that is a definition."""
    return {
        "description": description,
        "content": {"application/json": {"model": SegmentDefinitionAnswer}},
        "headers": {"ETag": {"description": "The version, in quotes", "schema": {"type": "string"}}},
    }


def _reply(segment: Segment, parts: SegmentParts, status: int = 200) -> http.Reply:
    answer = described(segment, parts.segment_lists, parts.signer, reading.MAX_BODY_BYTES)
    return http.Reply(answer, status, {"ETag": preconditions.etag_of_version(segment.version)})


def _deadline(app: http.Api, reserve_seconds: float) -> Deadline:
    return Deadline(app.lambda_context.get_remaining_time_in_millis() / 1000 - reserve_seconds)


def make_app(parts: Callable[[], SegmentParts], reserve_seconds: float = RESERVE_SECONDS) -> http.Api:
    """The routes, over the parts of one deployment. reserve_seconds: what leaves less of the timeout becomes a job."""
    app = http.Api(lambda: parts().settings.access)

    def in_time_or_as_a_job(
        answer: Callable[[Steps], http.Reply], check: Callable[[], None], request: Mapping[str, Any], prefer: str | None
    ) -> http.Reply:
        if not preconditions.prefers_async(prefer):
            try:
                return answer(_deadline(app, reserve_seconds).step)
            except TakesTooLong:
                pass
        check()  # or the job would fail where this can say so
        return jobs.start_reply(parts().queued_jobs.start("segment", "job", request))

    @app.get(
        "/segments",
        summary="List segments, without their rules and ids",
        description="A page at a time. It is read from an index, in which a change appears within a second.",
        responses=http.responses(
            SegmentListAnswer, errors.InvalidRequest, errors.PayloadTooLarge, errors.StoreUnavailable
        ),
    )
    @http.json_route(app, "loyalty/read")
    def list_segments(limit: Limit = PAGE, token: Next = None) -> SegmentListAnswer:
        if token is not None and not is_segment_id(token):
            raise errors.InvalidRequest.of("next", "this is no page token: send `next` of the answer before")
        summaries, following = parts().segments.page(limit, token or "")
        listed: SegmentListAnswer = {
            "segments": [
                {
                    "segment_id": summary.segment_id,
                    "segment_name": summary.segment_name,
                    "kind": summary.kind,
                    "version": summary.version,
                    "updated": rfc3339(summary.updated),
                }
                for summary in summaries
            ]
        }
        if following is not None:
            listed["next"] = following
        return listed

    @app.get(
        "/segments/<segment_id>",
        summary="Show a segment's definition",
        responses={
            **http.responses(SegmentDefinitionAnswer, errors.SegmentNotFound, errors.StoreUnavailable),
            200: _definition("OK"),
            304: {"description": "The caller has this version already"},
        },
    )
    @http.json_route(app, "loyalty/read")
    def get_segment(segment_id: str, if_none_match: IfNoneMatch = None) -> http.Reply:
        segment = parts().segments.get(segment_id)
        etag = preconditions.etag_of_version(segment.version)
        if preconditions.is_known(if_none_match, etag):
            return http.Reply(None, 304, {"ETag": etag})
        return _reply(segment, parts())

    @app.put(
        "/segments/<segment_id>",
        summary="Define a segment, or change its definition",
        description="Without If-Match and If-None-Match, the last request wins. If the definition does not change, its "
        "version stays the same.",
        responses={
            **http.responses(
                SegmentDefinitionAnswer,
                errors.InvalidJson,
                errors.UnsupportedMediaType,
                errors.InvalidRequest,
                errors.PayloadTooLarge,
                errors.VersionConflict,
                errors.FeatureStoreUnavailable,
                errors.StoreUnavailable,
                errors.ModelUnavailable,
            ),
            200: _definition("Changed, or equal to the stored definition"),
            201: _definition("Created"),
        },
    )
    @http.json_route(app, "loyalty/segments")
    def put_segment(
        segment_id: str, request: SegmentDefinition, if_match: IfMatch = None, if_none_match: IfNew = None
    ) -> http.Reply:
        must_be_new = preconditions.must_be_new(if_none_match, if_match)
        expected = preconditions.expected_version(if_match)
        definition = parts().service.check_definition(request)
        segment, created = parts().segments.put(segment_id, definition, expected, must_be_new=must_be_new)
        if created:
            # What a segment that had this id has left: its deletion was cut short, or a measurement came later.
            parts().statistics.delete(segment_id)
        return _reply(segment, parts(), 201 if created else 200)

    @app.post(
        "/segments/lists",
        summary="Get an address to which a list of customers can be sent as a file",
        description="For a list that no body holds: a file of up to 32 MiB, plain or gzip, in UTF-8. It has one id a "
        "line, or is CSV with the column `customer_id`, or a JSON list. Then PUT a segment with `upload_id` as "
        "`customer_list`.",
        responses={
            **http.error_responses(errors.StoreUnavailable),
            201: {
                "description": "The address waits for the file",
                "content": {"application/json": {"model": ListUploadAnswer}},
            },
        },
    )
    @http.json_route(app, "loyalty/segments")
    def announce_list() -> http.Reply:
        upload_id, upload = announce(parts().signer)
        return http.Reply({"upload_id": upload_id, "upload": jobs.upload_address(upload, MAX_FILE_BYTES)}, 201)

    @app.delete(
        "/segments/<segment_id>",
        summary="Delete a segment",
        responses=http.responses(
            None, errors.InvalidRequest, errors.SegmentNotFound, errors.VersionConflict, errors.StoreUnavailable
        ),
    )
    @http.json_route(app, "loyalty/segments")
    def delete_segment(segment_id: str, if_match: IfMatch = None) -> http.Reply:
        parts().segments.delete(segment_id, preconditions.expected_version(if_match))
        parts().statistics.delete(segment_id)
        return http.Reply(None, 204)

    @app.post(
        "/segments/preview",
        summary="Show who would be in a segment of this definition, without storing it",
        description="Every member is scored and counted. No job takes over what is longer than a request may be: the "
        "answer is 503, and the segment can be stored and asked for its statistics.",
        responses=http.responses(
            SegmentPreviewAnswer,
            errors.InvalidJson,
            errors.UnsupportedMediaType,
            errors.InvalidRequest,
            errors.PayloadTooLarge,
            errors.ModelUnavailable,
            errors.FeatureStoreUnavailable,
        ),
    )
    @http.json_route(app, "loyalty/predict")
    def preview_segment(request: SegmentDefinition) -> SegmentPreviewAnswer:
        try:
            return parts().service.preview(request, _deadline(app, reserve_seconds).step)
        except TakesTooLong as error:
            raise errors.FeatureStoreUnavailable(
                "The preview takes longer than a request may: store the segment, whose statistics a job computes."
            ) from error

    @app.post(
        "/segments/<segment_id>/ml/predict",
        summary="Predict for every member of a segment",
        description="Every member is scored and counted. The answer shows the first 100, or the `top` members with the "
        "highest probability, of churn without those who have lapsed. If it takes too long for a request, a job makes "
        "it: 202, with its address in Location.",
        responses={
            **http.responses(
                SegmentAnswer | SegmentAllAnswer,
                errors.InvalidJson,
                errors.UnsupportedMediaType,
                errors.UnknownType,
                errors.PayloadTooLarge,
                errors.NoBaseline,
                *_SERVED_ERRORS,
            ),
            **_AS_A_JOB,
        },
    )
    @http.json_route(app, "loyalty/predict")
    def predict_segment(
        segment_id: str,
        request: SegmentPredictRequest,
        top: Top = None,
        offer: Offer = None,
        include: Included = None,
        *,
        prefer: Prefer = None,
    ) -> http.Reply:
        ranking = Ranking(top, offer, include)

        def predict(steps: Steps) -> http.Reply:
            answer = parts().service.predict(segment_id, request.type, ranking, steps, explain=request.explain)
            return http.Reply(answer)

        def check() -> None:
            parts().service.check(segment_id, request.type, ranking, explain=request.explain)

        job = {
            "segment_id": segment_id,
            "answer": "predict",
            "type": request.type,
            **ranking._asdict(),
            **({"explain": True} if request.explain else {}),
        }
        return in_time_or_as_a_job(predict, check, job, prefer)

    @app.get(
        "/segments/<segment_id>/ml/stats",
        summary="Show statistics of all members of a segment, their drift, and how they changed between snapshots",
        description="The statistics are computed once for each snapshot, model set and definition, and then stored. If "
        "that takes too long for a request, a job does it: 202, with its address in Location.",
        responses={
            **http.responses(SegmentStatsAnswer, errors.PayloadTooLarge, *_SERVED_ERRORS),
            **_AS_A_JOB,
            200: {
                "description": "OK",
                "content": {"application/json": {"model": SegmentStatsAnswer}},
                "headers": {"ETag": {"description": "The tag of this answer, in quotes", "schema": {"type": "string"}}},
            },
            304: {"description": "The caller has this answer already"},
        },
    )
    @http.json_route(app, "loyalty/read")
    def segment_stats(
        segment_id: str, entries: Entries = None, if_none_match: IfSeen = None, prefer: Prefer = None
    ) -> http.Reply:
        def stats(steps: Steps) -> http.Reply:
            answer = parts().service.stats(segment_id, entries, steps)
            etag = preconditions.etag_of_answer(answer)
            if preconditions.is_known(if_none_match, etag):
                return http.Reply(None, 304, {"ETag": etag})
            return http.Reply(answer, headers={"ETag": etag})

        def check() -> None:
            parts().segments.get(segment_id)

        job = {"segment_id": segment_id, "answer": "stats", "history": entries}
        return in_time_or_as_a_job(stats, check, job, prefer)

    return app


_parts = start.once(SegmentParts, SegmentSettings)
start.initialize(_parts, lambda parts: (parts.service,))
handler = start.answering_golden(_parts, http.entrypoint(make_app(_parts)))
