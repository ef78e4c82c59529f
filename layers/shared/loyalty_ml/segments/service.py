"""What is asked of segments: predictions, and statistics and how they moved, which are measured once and stored."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from loyalty_ml.customers.current import CurrentCustomers
from loyalty_ml.customers.population import BLOCK_ROWS, Population
from loyalty_ml.customers.snapshot_store import SnapshotStore
from loyalty_ml.errors import InvalidRequest, ModelUnavailable
from loyalty_ml.models import catalogue
from loyalty_ml.models.card import Offer
from loyalty_ml.models.manifest import Manifest, PublishedSet
from loyalty_ml.models.store import ModelSet, ModelStore
from loyalty_ml.progress import Progress, no_progress
from loyalty_ml.scoring.scorers import scorer_for
from loyalty_ml.segments import history
from loyalty_ml.segments.contracts import SegmentAllAnswer, SegmentAnswer, SegmentStatsAnswer
from loyalty_ml.segments.definition import Segment, SegmentDefinition
from loyalty_ml.segments.history import Point, needed_bridge
from loyalty_ml.segments.membership import select
from loyalty_ml.segments.predictions import BY_ID, Ranking, predict_segment, ranked_members, shown_order
from loyalty_ml.segments.preview import SegmentPreviewAnswer, preview
from loyalty_ml.segments.rules import parse_rule
from loyalty_ml.segments.side_by_side import predict_segment_all
from loyalty_ml.segments.statistics import Measured, measure_segment, scorers_of
from loyalty_ml.segments.statistics_store import StatisticsStore
from loyalty_ml.segments.store import SegmentStore
from loyalty_ml.vocabulary import AskedType, MockMode, rfc3339

IDS_AT_ONCE = 100_000

Steps = Callable[[Literal["fetch", "decode", "score"]], Progress]
"""Gives each step of the work what it tells its progress to: bytes for the first, customers for the others."""


def ranking_of(request: Mapping[str, Any]) -> Ranking:
    """The ranking of a job's request, which may be of a time when jobs had none, or offers no codes."""
    offer = request.get("offer")
    return Ranking(request.get("top"), None if offer is None else str(offer), request.get("include"))


def no_steps(_: str) -> Progress:
    return no_progress


class SegmentService:
    """Answers about the segments of one deployment.

    Every method raises FeatureStoreUnavailable, StoreUnavailable, ModelUnavailable, and what a step's progress raises;
    what names a segment raises SegmentNotFound, and InvalidRequest where its rule does not fit the snapshot's columns.
    """

    def __init__(
        self,
        segments: SegmentStore,
        snapshots: SnapshotStore,
        statistics: StatisticsStore,
        models: ModelStore,
        mock_mode: MockMode,
        *,
        block_rows: int = BLOCK_ROWS,
        measure: Callable[..., Measured] = measure_segment,
    ) -> None:
        """block_rows: customers that a thread scores at a time; measure: as measure_segment does."""
        self._segments = segments
        self._snapshots = snapshots
        self._statistics = statistics
        self._models = models
        self._mock_mode = mock_mode
        self._measure_segment = measure
        self._current = CurrentCustomers(snapshots, block_rows)

    def predict(
        self,
        segment_id: str,
        prediction_type: AskedType,
        ranking: Ranking = BY_ID,
        steps: Steps = no_steps,
        *,
        explain: bool = False,
    ) -> SegmentAnswer | SegmentAllAnswer:
        """Every member of the segment predicted; some of them are shown, with their reasons if `explain`."""
        segment, models = self._segments.get(segment_id), self._models.current()
        # Before the customers are fetched for nothing.
        self._check(segment, prediction_type, models, ranking, explain=explain)
        segment = self._segments.with_ids(segment)
        population, trouble = self._customers(steps)
        answer: SegmentAnswer | SegmentAllAnswer
        if prediction_type == "all":
            answer = predict_segment_all(
                segment, population, models, self._mock_mode, explain=explain, progress=steps("score")
            )
        else:
            answer = predict_segment(
                segment,
                prediction_type,
                population,
                models,
                self._mock_mode,
                ranking=ranking,
                explain=explain,
                progress=steps("score"),
            )
        if trouble:
            answer["message"] = trouble
        return answer

    def check(self, segment_id: str, prediction_type: AskedType, ranking: Ranking, *, explain: bool = False) -> None:
        """Raises what `predict` would raise of the request itself, without predicting anything."""
        self._check(self._segments.get(segment_id), prediction_type, self._models.current(), ranking, explain=explain)

    def check_definition(self, definition: SegmentDefinition) -> SegmentDefinition:
        """The definition as it is to be stored: an offer that is given by its place gets its code.

        Raises InvalidRequest if the snapshot has no such column, or the model no such offer; ModelUnavailable if
        the definition names an offer and there is no model of offers.
        """

        def offers_now() -> Sequence[Offer]:
            return scorer_for("nbo", self._models.current(), self._mock_mode).offers

        if definition.rule is not None:
            features = self._snapshots.card().features
            parse_rule(definition.rule, features, lambda: [offer.offer_code for offer in offers_now()])
        named = definition.recommended_offer
        if named is None:
            return definition
        offers = offers_now()
        place = catalogue.place_of(offers, str(named))
        if place is None:
            raise InvalidRequest.of(
                "recommended_offer", f"there is no offer {named}, there are {catalogue.listed(offers)}"
            )
        code = offers[place].offer_code
        return definition if str(named) == code else definition.model_copy(update={"recommended_offer": code})

    def preview(self, definition: SegmentDefinition, steps: Steps = no_steps) -> SegmentPreviewAnswer:
        """What a segment of this definition would be; nothing is stored. Raises what check_definition raises too."""
        checked = self.check_definition(definition)
        segment = self._segments.with_ids(Segment("preview", 1, datetime.now(UTC), checked))
        population, _ = self._customers(steps)
        return preview(segment.definition, population, self._models.current(), self._mock_mode, steps("score"))

    def member_ids(self, segment_id: str, ranking: Ranking = BY_ID, steps: Steps = no_steps) -> Iterator[Sequence[str]]:
        """The members' ids, some at a time: in order of customer_id, or the `top` of the ranking, the best first.

        After all members come the ids of a list that are no customers; in a ranking they have no place.
        """
        definition, models = self._segments.with_ids(self._segments.get(segment_id)).definition, self._models.current()
        population, _ = self._customers(steps)
        if ranking.top is not None:
            best = ranked_members(
                definition, population, models, self._mock_mode, ranking=ranking, progress=steps("score")
            )
            for start in range(0, len(best), IDS_AT_ONCE):
                yield population.ids(best[start : start + IDS_AT_ONCE].tolist())
            return
        members, keep, unknown = select(definition, population, models, self._mock_mode)
        for numbers in members.measure(lambda block: keep(block).customers.numbers.copy(), steps("score")):
            yield population.ids(numbers.tolist())
        yield unknown

    def answer(
        self, request: Mapping[str, Any], on_progress: Progress
    ) -> SegmentAnswer | SegmentAllAnswer | SegmentStatsAnswer:
        """What a job was asked for, however long it takes; on_progress is told of customers done and in all."""

        def steps(step: str) -> Progress:
            return on_progress if step == "score" else no_progress

        if request["answer"] == "stats":
            return self.stats(request["segment_id"], request.get("history"), steps)
        explain = request.get("explain", False)
        return self.predict(request["segment_id"], request["type"], ranking_of(request), steps, explain=explain)

    def stats(self, segment_id: str, entries: int | None = None, steps: Steps = no_steps) -> SegmentStatsAnswer:
        """The segment's statistics and drift now, and how they moved; measured only where they are not stored.

        entries: at most this many of the history, the latest; None for all that there are.
        """
        segment = self._segments.get(segment_id)
        models = self._models.current()
        point, trouble = self._point(segment, models, steps)
        base, base_trouble = self._point(None, models, steps)
        if base.snapshot != point.snapshot:  # another was published between the two
            point, trouble = self._point(segment, models, steps)
        trouble = trouble or base_trouble
        answer: SegmentStatsAnswer = {
            "segment_id": segment_id,
            "segment_name": segment.definition.segment_name,
            "member_count": point.member_count,
            "stats": point.stats,
            "history": history.history(self._statistics.points(segment_id), point)[-(entries or 0) :],
            "drift": {"segment": point.drift, "all_customers": base.drift},
            "drivers": point.drivers,
            "mock": point.mock,
            "models": point.infos,
            "features_as_of": rfc3339(point.as_of),
        }
        if trouble:
            answer["message"] = trouble
        return answer

    def customers(self, steps: Steps = no_steps) -> Population:
        """Those that are served now."""
        population, _ = self._customers(steps)
        return population

    def refresh(self, segment_id: str | None, steps: Steps = no_steps) -> Point:
        """Stores the statistics of a segment, None for all customers, at what is served now, and gives them back.

        Where customers and models have both changed since the last, they are measured with the models of then too:
        that tells what moved them.
        """
        segment = self._segments.get(segment_id) if segment_id is not None else None
        point, _ = self._point(segment, self._models.current(), steps)
        bridge = needed_bridge(self._statistics.points(segment_id), point.key)
        if bridge:
            models = self._models_of(dict(bridge.models))
            population, _ = self._customers(steps)
            if models and population.version == bridge.snapshot:
                self._statistics.put(self._measure(segment, population, models, steps("score"), bridge=True))
        return point

    def _check(
        self, segment: Segment, prediction_type: AskedType, models: ModelSet, ranking: Ranking, *, explain: bool
    ) -> None:
        if prediction_type == "all":
            for name, given in ranking._asdict().items():
                if given is not None:
                    raise InvalidRequest.of(name, "all has no single probability to order by: ask for churn or nbo")
            scorers = list(scorers_of(models, self._mock_mode).values())
        else:
            scorers = [scorer_for(prediction_type, models, self._mock_mode)]
            shown_order(segment.definition, prediction_type, scorers[0], ranking)
        for scorer in scorers if explain else ():
            scorer.explainer()

    def _point(self, segment: Segment | None, models: ModelSet, steps: Steps) -> tuple[Point, str | None]:
        """The segment at the snapshot that is served now, and why that is not the newest, where it is not."""
        newest = self._snapshots.card().version
        if stored := self._stored(segment, newest, models):
            return stored, None
        population, trouble = self._customers(steps)
        if population.version != newest and (stored := self._stored(segment, population.version, models)):
            return stored, trouble
        point = self._measure(segment, population, models, steps("score"))
        self._statistics.put(point)
        return point, trouble

    def _stored(self, segment: Segment | None, snapshot: str, models: ModelSet) -> Point | None:
        return self._statistics.get(
            segment.segment_id if segment else None,
            snapshot,
            self._versions(models),
            segment.version if segment else 0,
        )

    def _measure(
        self,
        segment: Segment | None,
        population: Population,
        models: ModelSet,
        progress: Progress,
        *,
        bridge: bool = False,
    ) -> Point:
        measured = self._measure_segment(
            self._segments.with_ids(segment).definition if segment else None,
            population,
            models,
            self._mock_mode,
            progress,
        )
        scorers = scorers_of(models, self._mock_mode)
        return Point(
            segment_id=segment.segment_id if segment else None,
            snapshot=population.version,
            as_of=population.as_of,
            models=self._versions(models),
            definition=segment.version if segment else 0,
            computed=datetime.now(UTC),
            member_count=measured.member_count,
            stats=measured.stats,
            drift=measured.drift,
            drivers=measured.drivers,
            infos={name: scorer.info for name, scorer in scorers.items()},
            mock=any(scorer.is_mock for scorer in scorers.values()),
            bridge=bridge,
        )

    def _versions(self, models: ModelSet) -> dict[str, str]:
        return {name: scorer.info["version"] for name, scorer in scorers_of(models, self._mock_mode).items()}

    def _customers(self, steps: Steps) -> tuple[Population, str | None]:
        return self._current.get(steps("fetch"), steps("decode"))

    def _models_of(self, versions: dict[str, str]) -> ModelSet | None:
        """The model set of these versions, of those that the manifest remembers, loaded again."""
        manifest = self._models.current().manifest
        sets: Iterable[PublishedSet] = (manifest, *manifest.previous) if manifest else ()
        for published in sets:
            known = {name: active.version for name, active in published.models.items()}
            if all(versions[name] == known[name] for name in versions.keys() & known.keys()):
                models = self._models.load(Manifest(**published.model_dump(include=set(PublishedSet.model_fields))))
                # A type without a model is none of these versions, if only because mock mode is off by now.
                with contextlib.suppress(ModelUnavailable):
                    if not models.problems and self._versions(models) == versions:
                        return models
        return None
