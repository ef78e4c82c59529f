"""Plans carried out: with threads by `Threads`, or with asyncio by `Tasks`. All input and output is here."""

import asyncio
import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

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

    def _side_by_side(self, plans: Sequence[Plan[Any]], stopped: threading.Event) -> list[Any]:
        """By daemons, so that a program which Ctrl-C ends waits for no answer."""
        results: list[Any] = [None] * len(plans)
        failures: list[BaseException] = []
        waiting = queue.SimpleQueue[tuple[int, Plan[Any]]]()
        for numbered in enumerate(plans):
            waiting.put(numbered)

        def work() -> None:
            while not stopped.is_set():
                try:
                    place, plan = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    results[place] = self._run(plan, stopped)
                except BaseException as error:  # raised where the results are waited for
                    failures.append(error)
                    stopped.set()

        workers = [threading.Thread(target=work, daemon=True) for _ in range(min(self._at_once, len(plans)))]
        try:
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
        finally:
            if any(worker.is_alive() for worker in workers):
                stopped.set()
        if failures:
            raise failures[0]
        return results


class Tasks:
    """Carries out plans with an httpx.AsyncClient, `at_once` of them side by side."""

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
                return await asyncio.sleep(seconds)
            case SideBySide(plans):
                return await self._side_by_side(plans)

    async def _side_by_side(self, plans: Sequence[Plan[Any]]) -> list[Any]:
        free = asyncio.Semaphore(self._at_once)

        async def run(plan: Plan[Any]) -> Any:
            async with free:
                return await self.run(plan)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(run(plan)) for plan in plans]
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None  # as threads do
        return [task.result() for task in tasks]


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
