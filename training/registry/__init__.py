"""The registry: which model set is active in a bucket, which were before it, and every version that lies there."""

from training.registry.listing import Listing, Version, diff, members, versions
from training.registry.publishing import Change, describe, promote, publish, rollback, stage

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
