"""The client `AsyncLoyalty`. `make docs` writes this module from client.py: change that."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

import httpx

from loyalty_client import jobs, predictions, progress, segments
from loyalty_client.answers import (
    AllAnswer,
    JobAnswer,
    JobListed,
    SegmentAllAnswer,
    SegmentAnswer,
    SegmentDefinitionAnswer,
    SegmentStatsAnswer,
    SegmentSummary,
    SingleAnswer,
    StatusAnswer,
)
from loyalty_client.calls import Retries
from loyalty_client.jobs import FileTask, ScoredFile
from loyalty_client.rows import Predictions
from loyalty_client.running import Tasks
from loyalty_client.settings import Auth, JobStatus, PredictionType, Settings
from loyalty_client.steps import Plan

ResultT = TypeVar("ResultT")


class AsyncLoyalty:
    """As Loyalty, on asyncio: every method is awaited.

    base_url:  the service's address; the API's path is added to a bare host. Without one, that of the environment's
               LOYALTY_URL, else of the local service.
    auth:      a token, a function that gives one, or an httpx.Auth such as ClientCredentials. Without one, that of
               LOYALTY_TOKEN, else of LOYALTY_ISSUER, LOYALTY_CLIENT_ID and LOYALTY_CLIENT_SECRET, else none.
    at_once:   how many requests go side by side.
    retries:   how often and when what is safe is sent again.
    timeout:   seconds for an answer's next part.
    transport: of httpx, such as a proxy's.

    It is a context manager, too.
    Every method raises a LoyaltyError if the service does not do its part.
    """

    def __init__(
        self,
        base_url: str | None = None,
        auth: Auth = None,
        *,
        at_once: int = 8,
        retries: Retries | None = None,
        timeout: float = 35.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        settings = Settings(base_url, auth, at_once, retries, timeout)
        self._calls = settings.calls
        self._client = httpx.AsyncClient(transport=transport, **settings.options)
        self._runner = Tasks(self._client, settings.auth, at_once)

    async def close(self) -> None:
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def predict(
        self,
        prediction_type: PredictionType,
        customer_ids: Iterable[str | int],
        *,
        show_progress: bool | None = None,
    ) -> Predictions:
        """A row for each id, in order, however many there are.

        show_progress: None for a bar in terminals and notebooks only.
        Raises TypeError or ValueError for what is no id, before anything is sent, and the error of the first request if
        none was answered. If only some failed for good, their customers' rows have the error, `unanswered` names them,
        and an UnansweredWarning is given.
        """
        return await self._predict(prediction_type, customer_ids, {}, show_progress=show_progress)

    async def explain(
        self,
        prediction_type: PredictionType,
        customer_ids: Iterable[str | int],
        *,
        show_progress: bool | None = None,
    ) -> Predictions:
        """As predict, and each result has its `reasons`: what each feature adds to the score, the largest first.

        `explained` says which score that is, and what the median customer's is. Raises as predict does, NoBaseline if
        the models were trained before there was one, and OldServer.
        """
        options = {"explain": True}
        return await self._predict(prediction_type, customer_ids, options, show_progress=show_progress)

    async def what_if(
        self,
        customer_id: str | int,
        overrides: Mapping[str, float],
        prediction_type: PredictionType = "churn",
    ) -> SingleAnswer | AllAnswer:
        """A customer's answer as if some features had other values, such as {"days_since_last": 3}.

        `what_if` of each result says how far the score moved. Raises TypeError or ValueError for what is no number,
        before anything is sent; the customer's own error; InvalidRequest for a feature that no model reads,
        InvalidFeatures for a value outside its domain; and OldServer.
        """
        (one,) = predictions.texts([customer_id])
        numbers = predictions.numbers(overrides)
        return await self._run(predictions.what_if(self._calls, prediction_type, one, numbers))

    async def segments(self) -> list[SegmentSummary]:
        """Every segment's `segment_id`, `segment_name`, `kind`, `version` and `updated`."""
        return await self._run(segments.segments(self._calls))

    async def segment(self, segment_id: str) -> SegmentDefinitionAnswer:
        """A segment's definition."""
        return await self._run(segments.segment(self._calls, segment_id))

    async def stats(
        self, segment_id: str, *, history: int | None = None, show_progress: bool | None = None
    ) -> SegmentStatsAnswer:
        """A segment's statistics of the three types, and how they moved: of the latest `history` snapshots."""
        with progress.of_job(wanted=show_progress) as told:
            return await self._run(segments.stats(self._calls, segment_id, history, told))

    async def predict_segment(
        self,
        segment_id: str,
        prediction_type: PredictionType = "churn",
        *,
        top: int | None = None,
        offer: str | None = None,
        include_lapsed: bool = False,
        explain: bool = False,
        show_progress: bool | None = None,
    ) -> SegmentAnswer | SegmentAllAnswer:
        """A segment's members counted, and the first of them; the `top` likeliest to leave, or to take an `offer`.

        explain: whether the results that are shown have their `reasons`.
        """
        body = {"type": prediction_type, **({"explain": True} if explain else {})}
        query = segments.ranking(top, offer, include_lapsed=include_lapsed)
        with progress.of_job(wanted=show_progress) as told:
            plan = segments.predict_segment(self._calls, segment_id, body, query, told)
            return await self._run(plan)

    async def jobs(self, *, status: JobStatus | None = None, limit: int = 20) -> list[JobListed]:
        """The newest jobs first, at most `limit` of them."""
        return await self._run(jobs.jobs(self._calls, status, limit))

    async def job(self, job_id: str) -> JobAnswer:
        """A job: how far it is, and what it came to."""
        return await self._run(jobs.job(self._calls, job_id))

    async def wait(self, job_id: str, *, seconds: float | None = None, show_progress: bool | None = None) -> JobAnswer:
        """A job once it has ended, within so many seconds. Raises its own error if it failed, and JobUnfinished."""
        with progress.of_job(wanted=show_progress) as told:
            return await self._run(jobs.wait(self._calls, job_id, seconds, told))

    async def score_file(
        self,
        path: str | Path,
        prediction_type: PredictionType = "churn",
        *,
        keep: Sequence[str] | Literal["*"] = (),
        explain: bool = False,
        into: str | Path | None = None,
        seconds: float | None = None,
        idempotency_key: str | None = None,
        show_progress: bool | None = None,
    ) -> ScoredFile:
        """A file of customers scored: uploaded, waited for, and its results downloaded.

        keep:    columns of the file that the predictions have too; "*" for all.
        explain: whether the predictions have the columns reason_1, reason_2 and reason_3, the largest first.
        into:    the folder of the results. By default that of customers.csv is customers-churn/ beside it.
        seconds: how long the job is waited for. By default until it ends.
        idempotency_key: a text of your own: for a day, the same one is the same job.
        Raises OSError, TransferFailed, JobUnfinished, and the job's own error if it failed. After JobUnfinished or
        Ctrl-C, `resume` waits for the same job again.
        """
        file = Path(path)
        folder = jobs.folder_for(file, prediction_type) if into is None else Path(into)
        task = FileTask(file, prediction_type, keep, explain, folder, seconds, idempotency_key)
        with progress.of_job(wanted=show_progress) as told:
            return await self._run(jobs.score_file(self._calls, task, told))

    async def resume(
        self,
        job_id: str,
        into: str | Path,
        *,
        seconds: float | None = None,
        show_progress: bool | None = None,
    ) -> ScoredFile:
        """Waits for a job of files that has been started, and downloads its results into a folder."""
        with progress.of_job(wanted=show_progress) as told:
            return await self._run(jobs.resume(self._calls, job_id, Path(into), seconds, told))

    async def status(self) -> StatusAnswer:
        """What the service runs on: its models, their versions, and how fresh the features are."""
        plan: Plan[StatusAnswer] = self._calls.get("/config/ml/status")
        return await self._run(plan)

    async def _predict(
        self,
        prediction_type: PredictionType,
        customer_ids: Iterable[str | int],
        options: Mapping[str, Any],
        *,
        show_progress: bool | None,
    ) -> Predictions:
        ids = predictions.texts(customer_ids)
        with progress.of_customers(len(ids), wanted=show_progress) as done:
            rows = await self._run(predictions.predict(self._calls, prediction_type, ids, done, options))
        rows.warn(stacklevel=3)
        return rows

    async def _run(self, plan: Plan[ResultT]) -> ResultT:
        return await self._runner.run(plan)
