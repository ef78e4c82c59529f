"""A new model beside the one that is active, on customers from whom neither has learnt."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from loyalty_ml.models.card import Offer
from loyalty_ml.models.catalogue import listed
from training.config import MIN_OFFERS, Gates
from training.learning.bootstrap import Figure, Fold, auc, bootstrap, mean
from training.learning.contenders import Kind, shown
from training.learning.gates import BESIDE_ACTIVE, Gate, not_worse, with_remedies
from training.warehouse.examples import Examples

SEED = 0


def against_active(
    version: str,
    kind: Kind,
    unseen: Examples,
    *,
    ours: NDArray[np.floating],
    theirs: NDArray[np.floating],
    gates: Gates,
) -> Gate:
    """Both models' outputs (n, k) for the same n held-out examples, from which neither has learnt.

    It fails only if the new one is worse beyond what is allowed, by the whole interval over customers.
    """
    figure = "share of right recommendations" if kind == "choice" else "AUC"
    customers = np.unique(unseen.customer_ids.astype(str), return_inverse=True)[1]
    drawn = bootstrap(
        customers,
        np.zeros(len(unseen), np.int64),
        {"ours": _figure(kind, unseen, ours), "theirs": _figure(kind, unseen, theirs)},
        seed=SEED,
    )
    new, active = drawn["ours"], drawn["theirs"]
    passed, told = not_worse(new - active, gates.auc_below_active)
    sentence = f"Its {figure} is {new.value:.3f} on the held-out examples, where the active {version} has "
    gate = Gate(BESIDE_ACTIVE, passed, f"{sentence}{active.value:.3f}: {told}", forceable=True)
    return with_remedies([gate])[0]


def against_active_on_common_offers(
    version: str,
    kind: Kind,
    unseen: Examples,
    active_offers: Sequence[Offer],
    *,
    ours: NDArray[np.floating],
    theirs: NDArray[np.floating],
    gates: Gates,
) -> Gate:
    """The same of offers that both models know by their codes, and of examples of these; the sentence says which.

    ours is (n, k) of the k offers of unseen.catalogue, theirs (n, m) of the m active_offers. Models that have fewer
    than two offers in common, or only examples of one outcome, are not compared, which is no fault of the new one.
    """
    places = {offer.offer_code: offer.offer_id for offer in active_offers}
    common = [offer for offer in unseen.catalogue if offer.offer_code in places]
    which = _which_offers(unseen.catalogue, active_offers, version)
    if len(common) < MIN_OFFERS:
        return Gate(BESIDE_ACTIVE, passed=True, sentence=f"Not compared with the active {version}. {which}")
    mine = [offer.offer_id for offer in common]
    rows = np.isin(shown(unseen), mine)
    place_in_common = np.zeros(len(unseen.catalogue), np.int64)
    place_in_common[mine] = np.arange(len(mine))
    of_common = unseen.where(rows)
    of_common = replace(of_common, offers=place_in_common[shown(of_common)], catalogue=tuple(common))
    if not len(of_common) or (kind == "conversion" and len(np.unique(of_common.happened)) < 2):
        return Gate(
            BESIDE_ACTIVE,
            passed=True,
            sentence=f"Not compared with the active {version}: the held-out examples have one outcome. {which}",
        )
    gate = against_active(
        version,
        kind,
        of_common,
        ours=ours[rows][:, mine],
        theirs=theirs[rows][:, [places[offer.offer_code] for offer in common]],
        gates=gates,
    )
    return gate._replace(sentence=f"{gate.sentence} {which}")


def _which_offers(ours: Sequence[Offer], theirs: Sequence[Offer], version: str) -> str:
    """What the comparison is of, in a sentence or two."""
    new, active = ({offer.offer_code for offer in offers} for offers in (ours, theirs))
    common = [offer for offer in ours if offer.offer_code in active]
    parts = [
        f"Both know the offers {listed(common)}." if common else "No offer is known to both.",
        *_only("Only this one knows {}.", [offer for offer in ours if offer.offer_code not in active]),
        *_only(f"Only {version} knows {{}}.", [offer for offer in theirs if offer.offer_code not in new]),
    ]
    return " ".join(parts)


def _only(sentence: str, offers: Sequence[Offer]) -> list[str]:
    return [sentence.format(listed(offers))] if offers else []


def _figure(kind: Kind, unseen: Examples, outputs: NDArray[np.floating]) -> Callable[[Fold], Figure]:
    if kind == "choice":
        right = outputs.argmax(axis=1) == shown(unseen)
        return lambda fold: mean(right[fold.rows])
    of_interest = 0 if kind == "churn" else shown(unseen)
    probability = outputs[np.arange(len(unseen)), of_interest]
    return lambda fold: auc(unseen.happened[fold.rows], probability[fold.rows])
