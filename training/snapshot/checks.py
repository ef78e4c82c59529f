"""What is refused before anything is changed: features that the models do not fit, and customers that went missing."""

import json
from collections.abc import Sequence

from training.errors import Problem
from training.registry.inputs import Definitions, ModelInputs, fit
from training.snapshot.answerable import answerable
from training.snapshot.differences import Differences
from training.snapshot.parts import Parts
from training.snapshot.work import Work


def check_fit(
    active: Sequence[ModelInputs], columns: Sequence[str], definitions: Definitions | None, force: str | None
) -> bool:
    """Raises Problem if the features are not what the active models read; with `force` says so, and returns True."""
    found = fit(active, columns, definitions, "new snapshot")
    for sentence in found.not_compared:
        print(sentence, flush=True)
    if not found.problems:
        return False
    what = "; ".join(found.problems)
    if force is None:
        raise Problem(
            f"{what}. Nothing was changed: add what is missing to [features], restore what was changed, or train and "
            "publish models of these features first; --force REASON writes the snapshot all the same."
        )
    print(f"Forced ({force}): {what}.", flush=True)
    return True


def check_answerable(
    active: Sequence[ModelInputs], written: Parts, place: Work, min_answerable_share: float, force: str | None
) -> bool:
    """The same if an active model could answer too few of the customers."""
    parts = [place.parts / part.file for part in written.parts]
    counted = answerable(active, parts, written.features, place.spill)
    few = [one for one in counted if one.share < min_answerable_share]
    if not few:
        return False
    what = "; ".join(map(str, few))
    if force is None:
        raise Problem(
            f"{what}. Nothing was changed: see why the warehouse has no value there, train models without these "
            f"features, or lower min_answerable_share under [materialize] ({min_answerable_share:g}); --force REASON "
            "writes the snapshot all the same."
        )
    print(f"Forced ({force}): {what}.", flush=True)
    return True


def check_published(published: int | None, customers: int, max_removed_share: float) -> None:
    """Segments and files read the snapshot, also where the table is a new one."""
    if published and customers < published * (1 - max_removed_share):
        raise Problem(
            f"The warehouse has {customers:,} customers where {published:,} are published: nothing was "
            "changed; if they did leave, raise materialize.max_removed_share in the configuration "
            f"({max_removed_share:g})."
        )


def check_removed(differences: Differences, table: str, max_removed_share: float) -> None:
    if differences.stored and differences.absent / differences.stored > max_removed_share:
        new = f"{differences.new:,} new ones are not in it{_such_as(differences.new_examples)}"
        raise Problem(
            f"{differences.absent:,} of the {differences.stored:,} ids in {table} are not in the warehouse"
            f"{_such_as(differences.absent_examples)}, and {new}: nothing was changed. If the ids are written in "
            "another way now, map or cast the column of customer_id as it was; if the customers did leave, raise "
            f"max_removed_share under [materialize] ({max_removed_share:g})."
        )


def _such_as(examples: Sequence[str]) -> str:
    # In quotes: a blank at the end is seen.
    return f" (such as {', '.join(json.dumps(one, ensure_ascii=False) for one in examples)})" if examples else ""
