"""The deployment that faults are injected into."""

import json
import os
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from tests import sample_set
from tests.faults.transport import Faults, proxy
from tests.faults.world import CUSTOMERS, LISTED, MACHINE, World
from tests.files.test_killed import served_stores
from tests.segments.test_segments import Deployment, some_customers
from tests.service import Service, new_process
from training.registry import publish


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("faults")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boto3, "DEFAULT_SESSION", None)
        for name in ("MODEL_CACHE", "SNAPSHOT_CACHE", "FILE_WORK"):
            patch.setenv(name, str(folder / name))
        with served_stores(patch) as ids:
            moto = os.environ["AWS_ENDPOINT_URL"]
            own: Any = {"endpoint_url": moto}
            service = Service(boto3.client("s3", **own), boto3.client("dynamodb", **own), ids)
            publish(service.s3, service.model_bucket, sample_set.FOLDER)
            Deployment(service, folder / "warehouse").write_customers(some_customers(customers=CUSTOMERS))
            service.s3.put_object(
                Bucket=ids["DataBucket"],
                Key="incoming/churn/ids.csv",
                Body="\n".join(["customer_id", *LISTED]).encode(),
            )
            service.s3.put_object(Bucket=ids["DataBucket"], Key="datasets/x/ids.csv", Body=b"customer_id\nc-1\n")
            boto3.client("stepfunctions", **own).create_state_machine(
                name=MACHINE,
                definition=json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}}),
                roleArn="arn:aws:iam::123456789012:role/machine",
            )
            faults = Faults()
            with proxy(moto.removeprefix("http://"), faults) as address:
                patch.setenv("AWS_ENDPOINT_URL", address)
                found = World(service, faults, folder)
                found.new_instance()
                defined = {"segment_name": "Everyone", "rule": {}}
                assert service.call("PUT", "/segments/everyone", defined).status == 201
                yield found
                new_process()
