"""The page, the API's description, and the models: listed, promoted, rolled back."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from loyalty_ml import errors
from loyalty_ml.api import http
from loyalty_ml.api.page import Page
from loyalty_ml.registry.contracts import (
    ModelCardAnswer,
    ModelChangeAnswer,
    ModelListAnswer,
    PromoteRequest,
    RollbackRequest,
)
from loyalty_ml.wiring import start
from loyalty_ml.wiring.admin import AdminParts
from loyalty_ml.wiring.settings import AdminSettings

PAGE = Path(__file__).with_name("page")
"""What `make build` writes of page/; it is not in the repository."""

Limit = Annotated[
    int,
    Query(ge=1, le=100, description="The most versions of a model, beside those of the active set and the way back"),
]

_CHANGE_ERRORS = (
    errors.InvalidJson,
    errors.UnsupportedMediaType,
    errors.InvalidRequest,
    errors.PayloadTooLarge,
    errors.ModelRefused,
    errors.ModelVersionNotFound,
    errors.ModelsChanged,
    errors.FeatureStoreUnavailable,
    errors.StoreUnavailable,
)


def _file(description: str, content_type: str, schema: dict[str, Any]) -> dict[int, Any]:
    """The OpenAPI responses of a file, which is the same whatever the query."""
    found = {200: {"description": description, "content": {content_type: {"schema": schema}}}}
    of_json = http.error_responses(errors.RouteNotFound)
    return {**found, **{status: of_json[status] for status in (404, 500)}}


def make_app(parts: Callable[[], AdminParts], folder: Path = PAGE) -> APIGatewayHttpResolver:
    """The routes, over the parts of one deployment. folder: the built page."""
    app = APIGatewayHttpResolver(strip_prefixes=[http.BASE_PATH])
    page = Page(folder, lambda: parts().upload_origin)

    def headers() -> dict[str, str]:
        return dict(app.current_event.raw_event["headers"])

    @app.get("/admin", summary="The page for people", responses=_file("The page", "text/html", {"type": "string"}))
    def admin() -> Response[Any]:
        return page.index(headers())

    @app.get("/admin/assets/<name>", include_in_schema=False)
    def asset(name: str) -> Response[Any]:
        return page.asset(name, headers())

    @app.get(
        "/openapi.json",
        summary="This description",
        responses=_file("An OpenAPI 3.1 document", "application/json", {"type": "object"}),
    )
    def description() -> Response[Any]:
        return page.description(headers())

    @app.get(
        "/models",
        summary="List the versions of each model, which are active, and the sets to roll back to",
        responses=http.responses(
            ModelListAnswer, errors.InvalidRequest, errors.ModelUnavailable, errors.StoreUnavailable
        ),
    )
    @http.json_route(app)
    def list_models(limit: Limit = 20) -> ModelListAnswer:
        return parts().registry.listing(limit)

    @app.get(
        "/models/<name>/<version>",
        summary="Show a version's card: what it is, what it was trained on, and how good it was on held-out customers",
        responses=http.responses(
            ModelCardAnswer, errors.ModelVersionNotFound, errors.ModelUnavailable, errors.StoreUnavailable
        ),
    )
    @http.json_route(app)
    def model_card(name: str, version: str) -> ModelCardAnswer:
        return parts().registry.card(name, version)

    @app.post(
        "/models/promote",
        summary="Make versions that are in the bucket the active ones",
        description="They are checked as the functions check them, and against the current feature snapshot. The set "
        "changes whole, in one conditional write; the functions take it up within a minute.",
        responses=http.responses(ModelChangeAnswer, *_CHANGE_ERRORS),
    )
    @http.json_route(app)
    def promote(request: PromoteRequest) -> ModelChangeAnswer:
        return parts().registry.promote(request)

    @app.post(
        "/models/rollback",
        summary="Make the set before the active one active again",
        description="The set is checked as in promote, and leaves the way back: the next rollback goes one further.",
        responses=http.responses(ModelChangeAnswer, *_CHANGE_ERRORS),
    )
    @http.json_route(app)
    def rollback(request: RollbackRequest) -> ModelChangeAnswer:
        return parts().registry.rollback(request)

    return app


_parts = start.once(AdminParts, AdminSettings)
start.initialize(_parts, lambda parts: (parts.registry,))
handler = http.entrypoint(make_app(_parts))
