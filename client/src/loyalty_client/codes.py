"""An exception for each code of the API. `make docs` writes it from loyalty_ml/errors.py: change that.

ServiceError
├── RequestError
│   ├── InvalidJson  INVALID_JSON
│   ├── InvalidRequest  INVALID_REQUEST
│   ├── BatchTooLarge  BATCH_TOO_LARGE
│   ├── UnknownType  UNKNOWN_TYPE
│   ├── PayloadTooLarge  PAYLOAD_TOO_LARGE
│   ├── UnsupportedMediaType  UNSUPPORTED_MEDIA_TYPE
│   ├── InvalidFile  INVALID_FILE
│   ├── NoPredictions  NO_PREDICTIONS
│   ├── VersionConflict  VERSION_CONFLICT
│   ├── IdempotencyKeyReused  IDEMPOTENCY_KEY_REUSED
│   ├── ModelsChanged  MODELS_CHANGED
│   ├── ModelRefused  MODEL_REFUSED
│   └── NoBaseline  NO_BASELINE
├── Unauthenticated  UNAUTHENTICATED
├── MissingScope  MISSING_SCOPE
├── NotFound
│   ├── RouteNotFound  ROUTE_NOT_FOUND
│   ├── CustomerNotFound  CUSTOMER_NOT_FOUND
│   ├── SegmentNotFound  SEGMENT_NOT_FOUND
│   ├── ModelVersionNotFound  MODEL_VERSION_NOT_FOUND
│   └── JobNotFound  JOB_NOT_FOUND
├── InvalidCustomerId  INVALID_CUSTOMER_ID
├── Unscorable
│   ├── NoPurchases  NO_PURCHASES
│   ├── MissingFeatures  MISSING_FEATURES
│   ├── InvalidFeatures  INVALID_FEATURES
│   └── NotExplained  NOT_EXPLAINED
├── Unavailable
│   ├── ModelUnavailable  MODEL_UNAVAILABLE
│   ├── FeatureStoreUnavailable  FEATURE_STORE_UNAVAILABLE
│   └── StoreUnavailable  STORE_UNAVAILABLE
└── Internal  INTERNAL
"""

from collections.abc import Mapping
from typing import Final

from loyalty_client.errors import ServiceError


class RequestError(ServiceError):
    """One of InvalidJson, InvalidRequest, BatchTooLarge, UnknownType, PayloadTooLarge, UnsupportedMediaType,
    InvalidFile, NoPredictions, VersionConflict, IdempotencyKeyReused, ModelsChanged, ModelRefused, NoBaseline.
    """


class InvalidJson(RequestError):
    """The body is not JSON. Send a JSON object in UTF-8."""

    code = "INVALID_JSON"


class InvalidRequest(RequestError):
    """A field is missing, unknown, empty, too long or of the wrong kind, or a rule is no rule. Correct each field
    that `details.fields` names.
    """

    code = "INVALID_REQUEST"


class BatchTooLarge(RequestError):
    """A batch has more than 100 ids. Split it into several requests, or use a file."""

    code = "BATCH_TOO_LARGE"


class UnknownType(RequestError):
    """`type` is no prediction type. Use one of `details.types`."""

    code = "UNKNOWN_TYPE"


class PayloadTooLarge(RequestError):
    """The body is over 1 MiB (6 MiB or 10,000 rows of SQL), a definition over 380,000 bytes compressed, or the
    answer over the 6 MB that Lambda sends. Send less, or ask for less by `limit`, `history`, `top`, fewer ids, or
    without `explain`.
    """

    code = "PAYLOAD_TOO_LARGE"


class UnsupportedMediaType(RequestError):
    """The body is not said to be JSON. Send the header `Content-Type: application/json`."""

    code = "UNSUPPORTED_MEDIA_TYPE"


class InvalidFile(RequestError):
    """The whole of a file cannot be scored: it is empty, has no `customer_id`, or is not what its name says. Correct
    the file as the sentence says and send it again.
    """

    code = "INVALID_FILE"


class NoPredictions(RequestError):
    """No row of a file or dataset has an answer. Read the sentence, which has the likely reason, and errors.csv,
    which has each row's; correct the file, then upload it again.
    """

    code = "NO_PREDICTIONS"


class VersionConflict(RequestError):
    """The segment is not at the version of `If-Match`, or it exists already (`If-None-Match: *`). Read it again,
    then decide; `details.version` is the present version.
    """

    code = "VERSION_CONFLICT"


class IdempotencyKeyReused(RequestError):
    """The `Idempotency-Key` came with another body within a day. Send another key, or the body that it came with."""

    code = "IDEMPOTENCY_KEY_REUSED"


class ModelsChanged(RequestError):
    """Another model set became active since the one that the request is about. Read GET `/models` again, then
    decide.
    """

    code = "MODELS_CHANGED"


class ModelRefused(RequestError):
    """A version cannot be served, or does not fit the current feature snapshot. Publish one that can, write a
    snapshot that fits, or give the reason in `force`.
    """

    code = "MODEL_REFUSED"


class NoBaseline(RequestError):
    """Reasons were asked for, but the model's card has no baseline to explain against: the model was trained before
    there was one, or the answer is mock data. Train again and publish, or ask without `explain`.
    """

    code = "NO_BASELINE"


class Unauthenticated(ServiceError):
    """The request has no token of the issuer that is for this service and has not expired, or no signature where the
    route asks for one. Get a token from your issuer, or sign the request for execute-api.
    """

    code = "UNAUTHENTICATED"


class MissingScope(ServiceError):
    """The token lacks the route's scope, which is in `details.scope`. Ask for a token that has it."""

    code = "MISSING_SCOPE"


class NotFound(ServiceError):
    """One of RouteNotFound, CustomerNotFound, SegmentNotFound, ModelVersionNotFound, JobNotFound."""


class RouteNotFound(NotFound):
    """Below a route of the API there is no such path. Look at the list of routes in openapi.json."""

    code = "ROUTE_NOT_FOUND"


class CustomerNotFound(NotFound):
    """The warehouse has no such customer, or its features are not materialized yet. Check the id, or run
    `materialize`.
    """

    code = "CUSTOMER_NOT_FOUND"


class SegmentNotFound(NotFound):
    """There is no such segment. GET `/segments` lists all segments."""

    code = "SEGMENT_NOT_FOUND"


class ModelVersionNotFound(NotFound):
    """There is no such version in the model bucket, or no set to roll back to. GET `/models` lists what there is."""

    code = "MODEL_VERSION_NOT_FOUND"


class JobNotFound(NotFound):
    """There is no such job, it was deleted, or it is older than 30 days. Start it again."""

    code = "JOB_NOT_FOUND"


class InvalidCustomerId(ServiceError):
    """An id of a batch is blank, or an argument of SQL is no id. Leave it out, or correct it."""

    code = "INVALID_CUSTOMER_ID"


class Unscorable(ServiceError):
    """One of NoPurchases, MissingFeatures, InvalidFeatures, NotExplained."""


class NoPurchases(Unscorable):
    """The customer is known, but has no purchase: registered only, or all was returned. Predict again after the next
    purchase, when `materialize` has run.
    """

    code = "NO_PURCHASES"


class MissingFeatures(Unscorable):
    """The customer has no value for features that the model needs. Fill the features that `details.features` names
    in the warehouse, then run `materialize`.
    """

    code = "MISSING_FEATURES"


class InvalidFeatures(Unscorable):
    """A feature of the customer is not a finite number or is outside the feature's domain, or `features_as_of` is no
    moment. Correct what `details.features` names in the warehouse or the file, then run `materialize`.
    """

    code = "INVALID_FEATURES"


class NotExplained(Unscorable):
    """The features' contributions do not add up to the customer's score, because the model gives no finite score
    between the customer and its baseline. Ask without `explain`, or train again.
    """

    code = "NOT_EXPLAINED"


class Unavailable(ServiceError):
    """One of ModelUnavailable, FeatureStoreUnavailable, StoreUnavailable."""


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
    """A store other than the customers' did not do its part: `details.store` names it. Try again; if it stays, look
    for that store in the sentence and in the log.
    """

    code = "STORE_UNAVAILABLE"


class Internal(ServiceError):
    """A bug of ours. Report the correlation id, which is in `details` and in `X-Correlation-Id`: the log has the
    request under it.
    """

    code = "INTERNAL"


BY_CODE: Final[Mapping[str, type[ServiceError]]] = {
    "BATCH_TOO_LARGE": BatchTooLarge,
    "CUSTOMER_NOT_FOUND": CustomerNotFound,
    "FEATURE_STORE_UNAVAILABLE": FeatureStoreUnavailable,
    "IDEMPOTENCY_KEY_REUSED": IdempotencyKeyReused,
    "INTERNAL": Internal,
    "INVALID_CUSTOMER_ID": InvalidCustomerId,
    "INVALID_FEATURES": InvalidFeatures,
    "INVALID_FILE": InvalidFile,
    "INVALID_JSON": InvalidJson,
    "INVALID_REQUEST": InvalidRequest,
    "JOB_NOT_FOUND": JobNotFound,
    "MISSING_FEATURES": MissingFeatures,
    "MISSING_SCOPE": MissingScope,
    "MODELS_CHANGED": ModelsChanged,
    "MODEL_REFUSED": ModelRefused,
    "MODEL_UNAVAILABLE": ModelUnavailable,
    "MODEL_VERSION_NOT_FOUND": ModelVersionNotFound,
    "NOT_EXPLAINED": NotExplained,
    "NO_BASELINE": NoBaseline,
    "NO_PREDICTIONS": NoPredictions,
    "NO_PURCHASES": NoPurchases,
    "PAYLOAD_TOO_LARGE": PayloadTooLarge,
    "ROUTE_NOT_FOUND": RouteNotFound,
    "SEGMENT_NOT_FOUND": SegmentNotFound,
    "STORE_UNAVAILABLE": StoreUnavailable,
    "UNAUTHENTICATED": Unauthenticated,
    "UNKNOWN_TYPE": UnknownType,
    "UNSUPPORTED_MEDIA_TYPE": UnsupportedMediaType,
    "VERSION_CONFLICT": VersionConflict,
}
