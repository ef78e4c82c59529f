"""Plans carried out: with threads by `Threads`, or with anyio by `Tasks`. The only input and output of this package."""

import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import anyio
import httpx

from loyalty_client.steps import Download, Pause, Plan, Send, SideBySide, Step, Upload

ResultT = TypeVar("ResultT")
FILE_SECONDS = 300.0
"""For the store to take or give the next piece of a file."""
AS_IT_IS = {"Accept-Encoding": "identity"}


class Threads:
    """Carries out plans with an httpx.Client, `at_once` of them side by side."""

    def __init__(self, client: httpx.Client, auth: httpx.Auth | None, at_once: int) -> None:
        self._client = client
        self._auth = auth
        self._at_once = at_once

    def run(self, plan: Plan[ResultT]) -> ResultT:
        return self._run(plan, threading.Event())

    def _run(self, plan: Plan[ResultT], stopped: threading.Event) -> ResultT:
        sent, problem = None, None
        while True:
            try:
                step = plan.send(sent) if problem is None else plan.throw(problem)
            except StopIteration as done:
                result: ResultT = done.value
                return result
            sent, problem = None, None
            try:
                sent = self._do(step, stopped)
            except Exception as raised:
                problem = raised
            except BaseException:
                plan.close()
                raise

    def _do(self, step: Step, stopped: threading.Event) -> Any:
        match step:
            case Send():
                return self._client.send(_built(self._client, step), auth=self._auth)
            case Upload(path=path):
                with path.open("rb") as file:
                    return self._client.send(_upload(self._client, step, file), auth=None)
            case Download(url, path):
                request = self._client.build_request("GET", url, headers=AS_IT_IS, timeout=FILE_SECONDS)
                response = self._client.send(request, auth=None, stream=True)
                try:
                    if response.status_code != httpx.codes.OK:
                        response.read()
                        return response
                    with _whole(path) as file:
                        for piece in response.iter_raw():
                            file.write(piece)
                finally:
                    response.close()
                return response
            case Pause(seconds):
                if stopped.wait(seconds):
                    raise CancelledError
                return None
            case SideBySide(plans):
                return self._side_by_side(plans, stopped)

    def _side_by_side(self, plans: Any, stopped: threading.Event) -> list[Any]:
        pool = ThreadPoolExecutor(max(1, min(self._at_once, len(plans))), "loyalty-client")
        try:
            return list(pool.map(lambda plan: self._run(plan, stopped), plans))
        except BaseException:
            stopped.set()  # ends whoever pauses
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            pool.shutdown(wait=False)


class Tasks:
    """Carries out plans with an httpx.AsyncClient, `at_once` of them side by side, on asyncio or Trio."""

    def __init__(self, client: httpx.AsyncClient, auth: httpx.Auth | None, at_once: int) -> None:
        self._client = client
        self._auth = auth
        self._at_once = at_once

    async def run(self, plan: Plan[ResultT]) -> ResultT:
        sent, problem = None, None
        while True:
            try:
                step = plan.send(sent) if problem is None else plan.throw(problem)
            except StopIteration as done:
                result: ResultT = done.value
                return result
            sent, problem = None, None
            try:
                sent = await self._do(step)
            except Exception as raised:
                problem = raised
            except BaseException:
                plan.close()
                raise

    async def _do(self, step: Step) -> Any:
        match step:
            case Send():
                return await self._client.send(_built(self._client, step), auth=self._auth)
            case Upload(path=path):
                with path.open("rb") as file:
                    return await self._client.send(_upload(self._client, step, file), auth=None)
            case Download(url, path):
                request = self._client.build_request("GET", url, headers=AS_IT_IS, timeout=FILE_SECONDS)
                response = await self._client.send(request, auth=None, stream=True)
                try:
                    if response.status_code != httpx.codes.OK:
                        await response.aread()
                        return response
                    with _whole(path) as file:
                        async for piece in response.aiter_raw():
                            file.write(piece)
                finally:
                    await response.aclose()
                return response
            case Pause(seconds):
                return await anyio.sleep(seconds)
            case SideBySide(plans):
                return await self._side_by_side(plans)

    async def _side_by_side(self, plans: Any) -> list[Any]:
        results: list[Any] = [None] * len(plans)
        free = anyio.CapacityLimiter(self._at_once)

        async def run(place: int, plan: Plan[Any]) -> None:
            async with free:
                results[place] = await self.run(plan)

        async with anyio.create_task_group() as group:
            for place, plan in enumerate(plans):
                group.start_soon(run, place, plan)
        return results


def _built(client: httpx.Client | httpx.AsyncClient, step: Send) -> httpx.Request:
    request = step.request
    return client.build_request(
        request.method,
        request.path.lstrip("/"),
        json=request.json,
        params=dict(request.query) or None,
        headers=dict(request.headers),
    )


def _upload(client: httpx.Client | httpx.AsyncClient, step: Upload, file: BinaryIO) -> httpx.Request:
    form = {"file": (step.path.name, file, "application/octet-stream")}
    return client.build_request("POST", step.url, data=dict(step.fields), files=form, timeout=FILE_SECONDS)


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """A file beside the path, which takes its place once it is whole."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
