"""AWS in this process, by moto."""

from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import botocore.session
from moto import mock_aws

_LOADER = botocore.session.Session().get_component("data_loader")
"""Keeps the descriptions of AWS's services: to parse them again for each test takes 0.2 s."""


@contextmanager
def fresh_aws() -> Iterator[None]:
    """moto with nothing in it, which the clients of boto3 reach that are made meanwhile."""
    with mock_aws():
        session = botocore.session.get_session()
        session.register_component("data_loader", _LOADER)
        boto3.setup_default_session(botocore_session=session)
        _LOADER.search_paths[:] = dict.fromkeys(_LOADER.search_paths)  # each session of boto3 adds its own once more
        yield
