"""What can go wrong, each with a code for programs and a sentence for people. No HTTP here: api/http.py maps these.

Most sentences are given where the error is raised; a class has the sentence that is always the same.

LoyaltyError
├── RequestError               the caller can mend it
│   ├── InvalidJson            INVALID_JSON
│   ├── InvalidRequest         INVALID_REQUEST
│   ├── BatchTooLarge          BATCH_TOO_LARGE
│   ├── UnknownType            UNKNOWN_TYPE
│   ├── PayloadTooLarge        PAYLOAD_TOO_LARGE
│   ├── UnsupportedMediaType   UNSUPPORTED_MEDIA_TYPE
│   ├── InvalidFile            INVALID_FILE           the whole of a file: a job's failure
│   ├── NoPredictions          NO_PREDICTIONS         the same, of a file or dataset that was read to its end
│   ├── VersionConflict        VERSION_CONFLICT
│   ├── IdempotencyKeyReused   IDEMPOTENCY_KEY_REUSED
│   ├── ModelsChanged          MODELS_CHANGED
│   ├── ModelRefused           MODEL_REFUSED
│   └── NoBaseline             NO_BASELINE
├── Unauthenticated            UNAUTHENTICATED
├── MissingScope               MISSING_SCOPE
├── NotFound
│   ├── RouteNotFound          ROUTE_NOT_FOUND
│   ├── SegmentNotFound        SEGMENT_NOT_FOUND
│   ├── JobNotFound            JOB_NOT_FOUND
│   ├── ModelVersionNotFound   MODEL_VERSION_NOT_FOUND
│   └── CustomerNotFound       CUSTOMER_NOT_FOUND     (also a customer's failure)
├── InvalidCustomerId          INVALID_CUSTOMER_ID    a customer's failure: the id is blank
├── Unscorable                 a customer's failure: known, but without a usable feature vector
│   ├── NoPurchases            NO_PURCHASES
│   ├── MissingFeatures        MISSING_FEATURES
│   ├── InvalidFeatures        INVALID_FEATURES
│   └── NotExplained           NOT_EXPLAINED
└── Unavailable                ours to mend; the same request may work later
    ├── ModelUnavailable       MODEL_UNAVAILABLE
    ├── FeatureStoreUnavailable  FEATURE_STORE_UNAVAILABLE    customers by id, or the snapshot
    └── StoreUnavailable       STORE_UNAVAILABLE      any other store; details.store names it

A customer's failure is raised for a single prediction and listed beside the results of the others in a batch.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

Store = Literal["jobs", "segments", "statistics", "queue", "results", "state_machine", "disk", "models"]


_LASTING_CAUSES = frozenset(
    {
        "403",  # of a HEAD, whose answer has no body to name the code
        "404",
        "AccessDenied",
        "AccessDeniedException",
        "AllAccessDisabled",
        "AuthorizationHeaderMalformed",  # a bucket of another region
        "AWS.SimpleQueueService.NonExistentQueue",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidExecutionInput",
        "InvalidMessageContents",
        "InvalidObjectState",  # archived
        "MissingAuthenticationToken",
        "NoCredentialsError",
        "NoRegionError",
        "NoSuchBucket",
        "NoSuchKey",
        "OptInRequired",
        "ParamValidationError",
        "PermanentRedirect",
        "QueueDoesNotExist",
        "RegionDisabledException",
        "ResourceNotFoundException",
        "SignatureDoesNotMatch",
        "StateMachineDeleting",
        "StateMachineDoesNotExist",
        "UnrecognizedClientException",
        "ValidationException",
    }
)


def can_pass(cause: str) -> bool:
    """Whether a call of AWS that failed with this code, or botocore's exception of this name, can succeed later.

    Permissions, names and requests that are wrong stay wrong until someone mends them. What is not known to last can
    pass: a needless try costs less than none.
    """
    lowered = cause.lower()
    if "kms" in lowered:  # a key that is disabled, gone or forbidden: each store has names of its own for these
        return "throttl" in lowered
    return cause not in _LASTING_CAUSES


class LoyaltyError(Exception):
    """Base of all: `message` is shown to the caller, so it holds no secrets, and of a customer's features only a value
    that has to be corrected.
    """

    code: ClassVar[str]

    def __init__(self, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details


class RequestError(LoyaltyError):
    pass


class InvalidJson(RequestError):
    """The body is not JSON. Send a JSON object in UTF-8."""

    code = "INVALID_JSON"


class InvalidRequest(RequestError):
    """A field is missing, unknown, empty, too long or of the wrong kind, or a rule is no rule. Correct each field that
    `details.fields` names.
    """

    code = "INVALID_REQUEST"

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        """problems: pairs of a field and what is wrong with it, each without a full stop."""
        sentence = "; ".join(f"{field}: {problem}" for field, problem in problems[:3])
        super().__init__(
            f"The request is not valid: {sentence}.",
            {"fields": [{"field": field, "problem": problem} for field, problem in problems]},
        )

    @classmethod
    def of(cls, field: str, problem: str) -> Self:
        return cls([(field, problem)])


class BatchTooLarge(RequestError):
    """A batch has more than 100 ids. Split it into several requests, or use a file."""

    code = "BATCH_TOO_LARGE"


class UnknownType(RequestError):
    """`type` is no prediction type. Use one of `details.types`."""

    code = "UNKNOWN_TYPE"


class PayloadTooLarge(RequestError):
    """The body is over 1 MiB (6 MiB or 10,000 rows of SQL), a definition over 380,000 bytes compressed, or the answer
    over the 6 MB that Lambda sends. Send less, or ask for less by `limit`, `history`, `top`, fewer ids, or
    without `explain`.
    """

    code = "PAYLOAD_TOO_LARGE"


class UnsupportedMediaType(RequestError):
    """The body is not said to be JSON. Send the header `Content-Type: application/json`."""

    code = "UNSUPPORTED_MEDIA_TYPE"

    def __init__(self) -> None:
        super().__init__(
            "The request does not say that its body is JSON: send it with the header Content-Type: application/json."
        )


class InvalidFile(RequestError):
    """The whole of a file cannot be scored: it is empty, has no `customer_id`, or is not what its name says. Correct
    the file as the sentence says and send it again.
    """

    code = "INVALID_FILE"


class NoPredictions(RequestError):
    """No row of a file or dataset has an answer. Read the sentence, which has the likely reason, and errors.csv, which
    has each row's; correct the file, then upload it again.
    """

    code = "NO_PREDICTIONS"


class VersionConflict(RequestError):
    """The segment is not at the version of `If-Match`, or it exists already (`If-None-Match: *`). Read it again, then
    decide; `details.version` is the present version.
    """

    code = "VERSION_CONFLICT"

    def __init__(self, current: int | None) -> None:
        """`current` is the version that there is, None where there is none."""
        state = "The segment does not exist" if current is None else f"The segment is now at version {current}"
        super().__init__(
            f"{state}, and the request expects another state: read the segment again, then decide.",
            {"version": current},
        )


class IdempotencyKeyReused(RequestError):
    """The `Idempotency-Key` came with another body within a day. Send another key, or the body that it came with."""

    code = "IDEMPOTENCY_KEY_REUSED"

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key came with another body less than a day ago: send another key, or the same body."
        )


class ModelsChanged(RequestError):
    """Another model set became active since the one that the request is about. Read GET `/models` again, then
    decide.
    """

    code = "MODELS_CHANGED"

    def __init__(self) -> None:
        super().__init__(
            "Another model set became active meanwhile, and nothing was changed: read GET /models again, then decide."
        )


class ModelRefused(RequestError):
    """A version cannot be served, or does not fit the current feature snapshot. Publish one that can, write a snapshot
    that fits, or give the reason in `force`.
    """

    code = "MODEL_REFUSED"


class NoBaseline(RequestError):
    """Reasons were asked for, but the model's card has no baseline to explain against: the model was trained before
    there was one, or the answer is mock data. Train again and publish, or ask without `explain`.
    """

    code = "NO_BASELINE"

    @classmethod
    def of_set(cls, name: str) -> Self:
        """name: of the model whose card has none, or rfm."""
        return cls(
            f"There are no reasons for {name}: the active model set has no baseline. Train again and publish, or ask "
            "without explain."
        )

    @classmethod
    def of_mock(cls, name: str) -> Self:
        return cls(
            f"There are no reasons for {name}: its answers are mock data, which come from the customer's id alone, so "
            "there is no baseline. Publish a model, or ask without explain."
        )


class Unauthenticated(LoyaltyError):
    """The request has no token of the issuer that is for this service and has not expired, or no signature where the
    route asks for one. Get a token from your issuer, or sign the request for execute-api.
    """

    code = "UNAUTHENTICATED"

    def __init__(
        self,
        message: str = "The request has no token of this service's issuer that is for this service and has not "
        "expired: get a new token, and send it in the header Authorization.",
    ) -> None:
        super().__init__(message)


class MissingScope(LoyaltyError):
    """The token lacks the route's scope, which is in `details.scope`. Ask for a token that has it."""

    code = "MISSING_SCOPE"


class NotFound(LoyaltyError):
    pass


class RouteNotFound(NotFound):
    """Below a route of the API there is no such path. Look at the list of routes in openapi.json."""

    code = "ROUTE_NOT_FOUND"


class CustomerNotFound(NotFound):
    """The warehouse has no such customer, or its features are not materialized yet. Check the id, or run
    `materialize`.
    """

    code = "CUSTOMER_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("Customer not found in DWH")


class SegmentNotFound(NotFound):
    """There is no such segment. GET `/segments` lists all segments."""

    code = "SEGMENT_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("There is no segment with this id: GET /segments lists all segments.")


class ModelVersionNotFound(NotFound):
    """There is no such version in the model bucket, or no set to roll back to. GET `/models` lists what there is."""

    code = "MODEL_VERSION_NOT_FOUND"


class JobNotFound(NotFound):
    """There is no such job, it was deleted, or it is older than 30 days. Start it again."""

    code = "JOB_NOT_FOUND"

    def __init__(self) -> None:
        super().__init__("There is no job with this id, it was deleted, or its 30 days are over: start it again.")


class InvalidCustomerId(LoyaltyError):
    """An id of a batch is blank, or an argument of SQL is no id. Leave it out, or correct it."""

    code = "INVALID_CUSTOMER_ID"

    def __init__(self, problem: str = "is blank: leave it out, or correct it") -> None:
        super().__init__(f"The customer's id {problem}.")


class Unscorable(LoyaltyError):
    pass


class NoPurchases(Unscorable):
    """The customer is known, but has no purchase: registered only, or all was returned. Predict again after the next
    purchase, when `materialize` has run.
    """

    code = "NO_PURCHASES"

    def __init__(self) -> None:
        super().__init__(
            "The customer is known, but has no purchase yet (or has returned everything): predict again after the next "
            "purchase."
        )


class MissingFeatures(Unscorable):
    """The customer has no value for features that the model needs. Fill the features that `details.features` names in
    the warehouse, then run `materialize`.
    """

    code = "MISSING_FEATURES"

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"The customer has no value for: {', '.join(names)}", {"features": list(names)})


class InvalidFeatures(Unscorable):
    """A feature of the customer is not a finite number or is outside the feature's domain, or `features_as_of` is no
    moment. Correct what `details.features` names in the warehouse or the file, then run `materialize`.
    """

    code = "INVALID_FEATURES"

    def __init__(
        self,
        names: Sequence[str],
        problem: str = "The customer has values that are not finite numbers for",
        described: Sequence[str] = (),
    ) -> None:
        """described: what the sentence says of each in place of its name."""
        super().__init__(f"{problem}: {'; '.join(described) or ', '.join(names)}", {"features": list(names)})


class NotExplained(Unscorable):
    """The features' contributions do not add up to the customer's score, because the model gives no finite score
    between the customer and its baseline. Ask without `explain`, or train again.
    """

    code = "NOT_EXPLAINED"

    def __init__(self) -> None:
        super().__init__(
            "The contributions of the features do not add up to the customer's score, so there are no reasons: ask "
            "without explain, or train the model again."
        )


class Unavailable(LoyaltyError):
    """retry: whether the same request can succeed later although nobody has mended anything."""

    def __init__(self, message: str, details: Mapping[str, Any] | None = None, *, retry: bool = True) -> None:
        super().__init__(message, details)
        self.retry = retry


class ModelUnavailable(Unavailable):
    """No model is published and mock mode is off, or a published model fails its checks. Publish a model set;
    `/config/ml/status` says what is wrong with each model.
    """

    code = "MODEL_UNAVAILABLE"


class FeatureStoreUnavailable(Unavailable):
    """DynamoDB throttles or does not answer after retries, or no whole feature snapshot exists. Try again; if it
    stays, read the sentence and run `materialize`.
    """

    code = "FEATURE_STORE_UNAVAILABLE"


class StoreUnavailable(Unavailable):
    """A store other than the customers' did not do its part: `details.store` names it. Try again; if it stays, look for
    that store in the sentence and in the log.
    """

    code = "STORE_UNAVAILABLE"

    def __init__(self, store: Store, message: str, *, retry: bool = True) -> None:
        super().__init__(message, {"store": store}, retry=retry)
        self.store = store
