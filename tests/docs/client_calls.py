"""Calls every operation by a client that was generated from openapi.json, and prints what each gave.

Runs in .venv-client, which has nothing of this project: client_calls.py BASE_URL, with the client on the path.
"""

import importlib
import json
import pkgutil
import sys
from typing import Any

import loyalty_api.api  # type: ignore[import-not-found]  # which only the generator's venv has
from loyalty_api import Client, models


def every_operation() -> dict[str, Any]:
    """The modules of the generated client by the operation's id."""
    found = {}
    for package in pkgutil.iter_modules(loyalty_api.api.__path__, "loyalty_api.api."):
        for module in pkgutil.iter_modules(importlib.import_module(package.name).__path__, f"{package.name}."):
            found[module.name.rpartition(".")[2]] = importlib.import_module(module.name)
    return found


def main(base_url: str) -> None:
    client, operations = Client(base_url=base_url), every_operation()
    given: dict[str, list[list[Any]]] = {}

    def call(name: str, *arguments: Any, **named: Any) -> Any:
        response = operations[name].sync_detailed(*arguments, client=client, **named)
        given.setdefault(name, []).append([int(response.status_code), type(response.parsed).__name__])
        return response.parsed

    call("get_health")
    call("get_status")
    call("get_page")
    call("get_description")
    for prediction_type in ("churn", "nbo", "rfm", "all"):
        one = models.PredictRequest.from_dict({"customer_id": "c-1", "type": prediction_type})
        call("predict_customer", body=one, x_correlation_id="from-a-client")
        many = models.BatchRequest.from_dict({"customer_ids": ["c-1", "nobody", ""], "type": prediction_type})
        call("predict_batch", body=many)
    call("predict_customer", body=models.PredictRequest(customer_id="nobody"))
    call("predict_one_or_batch", body=models.PredictOrBatchRequestByCustomerId(customer_id="c-1"))
    call("predict_one_or_batch", body=models.PredictOrBatchRequestByCustomerIds(customer_ids=["c-1", "c-2"]))
    rule = {">=": [{"var": "revenue"}, 100]}
    definition = {"segment_name": "From a client", "rule": rule}
    body = definition_of(definition)
    call("preview_segment", body=body)
    call("put_segment", "client", body=body, if_none_match="*")
    call("put_segment", "client", body=definition_of({**definition, "segment_name": "Renamed"}), if_match="*")
    call("get_segment", "client")
    call("list_segments", limit=5)
    assert call("announce_list").upload.expires.tzinfo is not None
    for prediction_type in ("churn", "nbo", "rfm", "all"):
        asked = models.SegmentPredictRequest.from_dict({"type": prediction_type})
        call("predict_segment", "client", body=asked)
    statistics = call("get_segment_statistics", "client")
    assert statistics.features_as_of.tzinfo is not None, "a moment is a datetime"
    job = call("start_job", body=models.JobRequestBySegmentId(segment_id="client"), idempotency_key="once")
    again = call("start_job", body=models.JobRequestBySegmentId(segment_id="client"), idempotency_key="once")
    assert again.job_id == job.job_id
    upload = call("start_job", body=models.JobRequestByFormat.from_dict({"format": "csv", "type": "all"}))
    assert upload.upload.expires.tzinfo is not None
    call("start_job", body=models.JobRequestByPrefix(prefix="datasets/none/"))
    call("list_jobs", limit=10)
    call("get_job", job.job_id)
    call("delete_job", job.job_id)
    call("get_job", job.job_id)
    listed = call("list_models")
    version = listed.models["churn"].active
    call("get_model_card", "churn", version)
    call("promote_models", body=models.PromoteRequest.from_dict({"versions": {"churn": version}}))
    call("roll_back_models", body=models.RollbackRequest())
    call("delete_segment", "client")
    call("get_segment", "client")
    rows = {"data": [[0, "c-1"], [1, None], [2, "nobody"]]}
    call("answer_rows", "loyalty_churn", body=models.SnowflakeRequest.from_dict(rows))
    call("server_metadata")
    call("server_live")
    call("server_ready")
    for one in (("churn",), ("churn", version)):
        of = "model_version" if len(one) > 1 else "model"
        described_model = call(f"{of}_metadata", *one)
        call(f"{of}_ready", *one)
        features = described_model.inputs[0].shape[1]
        tensor = {"name": "features", "shape": [1, features], "datatype": "FP64", "data": [1.0] * features}
        call(
            "infer_model_version" if len(one) > 1 else "infer_model",
            *one,
            body=models.InferenceRequest.from_dict({"inputs": [tensor]}),
        )
    sys.stdout.write(json.dumps({"operations": sorted(operations), "given": given}))


def definition_of(definition: dict[str, Any]) -> Any:
    """The definition as the generated class that has its fields."""
    whole = getattr(models, "SegmentDefinitionByRule", None) or models.SegmentDefinition
    return whole.from_dict(definition)


if __name__ == "__main__":
    main(sys.argv[1])
