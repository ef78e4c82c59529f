"""Versions that are in the bucket become active, or the set before the active one does: one conditional write.

What is active and the way back are one object, models/manifest.json. All else in the bucket is immutable.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from loyalty_ml.models.card import card_key
from loyalty_ml.models.document import Refused
from loyalty_ml.models.manifest import ActiveModel, Manifest, PublishedSet, advice_after
from loyalty_ml.models.store import MODEL_OUTPUTS, LoadedModel, load_model
from loyalty_ml.registry.bucket import ModelBucket, RegistryProblem, StoredManifest
from loyalty_ml.registry.inputs import ModelInputs, inputs_of
from loyalty_ml.registry.listing import hash_of_card

WAY_BACK = 20
"""Sets that the manifest keeps beside the active one."""

Read = Callable[[str], bytes]
Load = Callable[[str, ActiveModel, Read], object]
CheckInputs = Callable[[Sequence[ModelInputs]], str | None]
"""Raises for a set that must not become active; else gives the reason that made it active, None if it needed none."""


class NothingToReturnTo(RegistryProblem):
    """There is no set before the active one."""


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to the active set: `after` is `before` itself where there was nothing to change."""

    before: Manifest | None
    after: Manifest


def load_served(name: str, active: ActiveModel, read: Read) -> LoadedModel:
    """A model as the functions load and check it, from wherever `read` finds its files by their key in the bucket.

    Raises Refused where they would not serve it, and what `read` raises.
    """
    if name not in MODEL_OUTPUTS:
        raise Refused(f"There is no {name} in the service, whose models are {' and '.join(MODEL_OUTPUTS)}: rename it.")
    try:
        return load_model(name, active, lambda key, _: read(key))
    except Refused as error:
        raise Refused(f"{name} {active.version} cannot be served: {error}") from error


def promote(
    place: ModelBucket,
    versions: Mapping[str, str],
    check: CheckInputs,
    *,
    load: Load = load_served,
    stored: StoredManifest | None = None,
) -> Change:
    """Makes versions that are in the bucket, by their model's name, the active ones; the other models stay.

    check:   judges what the new models read.
    stored:  the manifest to change, as it was read before; without it, the present one.
    Raises Refused where a version is not there (NoSuchObject) or could not be served, PublishConflict where the
    manifest is no longer the stored one, RegistryProblem where S3's answer got lost, what `check` raises, botocore's
    errors.
    """
    stored = stored or place.stored_manifest()
    before = stored.parsed()
    models = {}
    for name, version in versions.items():
        card_sha256 = hash_of_card(before, name, version)
        if card_sha256 is None:
            card_sha256 = sha256(place.read(card_key(name, version))).hexdigest()
        models[name] = ActiveModel(version=version, card_sha256=card_sha256)
        load(name, models[name], place.read)
    forced = check(inputs_of(models, None, place.read))
    created = datetime.now(UTC).replace(microsecond=0)
    return activate(place, stored, before, PublishedSet(created=created, models=models), forced=forced)


def rollback(
    place: ModelBucket, check: CheckInputs, *, load: Load = load_served, stored: StoredManifest | None = None
) -> Change:
    """Makes the set before the active one active again and takes it off the way back: the next one goes one further.

    The arguments are as in promote. Raises NothingToReturnTo, and what promote raises.
    """
    stored = stored or place.stored_manifest()
    before = stored.parsed()
    if before is None or not before.previous:
        raise NothingToReturnTo(
            f"There is no set to go back to in {place.name}: see 'loyalty models list --bucket {place.name}'."
        )
    last, *further = before.previous
    # What is active anyway gets no worse by going back, and must not stand in the way of it.
    models = {name: model for name, model in last.models.items() if model != before.models.get(name)}
    for name, model in models.items():
        load(name, model, place.read)
    rfm = last.rfm if last.rfm != before.rfm else None
    forced = check(inputs_of(models, rfm, place.read)) or last.forced
    after = Manifest(
        created=last.created,
        models=last.models,
        rfm=last.rfm,
        forced=forced,
        advice=last.advice,
        previous=tuple(further),
    )
    place.replace_manifest(stored, after)
    return Change(before, after)


def activate(
    place: ModelBucket,
    stored: StoredManifest,
    before: Manifest | None,
    new: PublishedSet,
    *,
    way_back: int = WAY_BACK,
    forced: str | None = None,
) -> Change:
    """Replaces the stored manifest, whose content is `before`, by one with the new models and cut points active.

    What the new set does not name stays as it was. Raises what replace_manifest raises.
    """
    previous: tuple[PublishedSet, ...] = ()
    models, rfm, advice = new.models, new.rfm, advice_after(before, new.models, new.advice)
    if before:
        models, rfm = {**before.models, **models}, rfm or before.rfm
        if (models, rfm, advice) == (before.models, before.rfm, before.advice):
            place.check_manifest_is_still(stored)
            return Change(before, before)
        was_active = PublishedSet.model_validate(before.model_dump(include=set(PublishedSet.model_fields)))
        previous = (was_active, *before.previous)[:way_back]
    after = Manifest(
        created=datetime.now(UTC).replace(microsecond=0),
        models=dict(models),
        rfm=rfm,
        forced=forced,
        advice=advice,
        previous=previous,
    )
    place.replace_manifest(stored, after)
    return Change(before, after)
