"""The registry: which model set is active in a bucket, which were before it, and every version that lies there."""

from loyalty_ml.registry.activation import Change
from loyalty_ml.registry.listing import Listing, Version
from training.registry.listing import diff, members, versions
from training.registry.publishing import describe, promote, publish, rollback, stage

__all__ = [
    "Change",
    "Listing",
    "Version",
    "describe",
    "diff",
    "members",
    "promote",
    "publish",
    "rollback",
    "stage",
    "versions",
]
