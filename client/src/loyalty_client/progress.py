"""How far it is, in a terminal and in a notebook; nothing where nobody looks."""

import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tqdm import TqdmExperimentalWarning
from tqdm import tqdm as tqdm_of_text


@contextmanager
def of_customers(total: int, *, wanted: bool | None) -> Iterator[Callable[[int], None]]:
    """Gives what is told how many customers more are done, by any thread."""
    one_at_a_time = threading.Lock()
    with _bar(wanted=wanted, total=total, unit=" customers", desc="Predicting") as bar:

        def done(customers: int) -> None:
            with one_at_a_time:
                bar.update(customers)

        yield done


@contextmanager
def of_job(*, wanted: bool | None) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Gives what is told a job each time that it is looked at. Without a job there is no bar."""
    layout = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}{postfix}"
    bar: Any = None

    def told(job: Mapping[str, Any]) -> None:
        nonlocal bar
        if bar is None:
            bar = _bar(wanted=wanted, total=1.0, desc=f"Job {job.get('job_id')}", bar_format=layout)
        share = (job.get("progress") or {}).get("share") or 0.0
        bar.set_postfix_str(f", {job.get('status')}", refresh=False)
        bar.update(max(0.0, share - bar.n))
        bar.refresh()

    try:
        yield told
    finally:
        if bar is not None:
            bar.close()


def _bar(*, wanted: bool | None, **options: Any) -> Any:
    """A bar as the place where it is shown has it. `wanted`: None for only where someone looks."""
    if wanted is None:
        wanted = sys.stderr.isatty() or _in_notebook()
    if wanted and _in_notebook():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", TqdmExperimentalWarning)
                from tqdm.notebook import tqdm as tqdm_of_notebook  # noqa: PLC0415  it wants IPython

                return tqdm_of_notebook(**options)
        except ImportError:  # no ipywidgets
            pass
    return tqdm_of_text(**options, disable=not wanted)


def _in_notebook() -> bool:
    """Whether IPython's kernel runs this, which shows a notebook's outputs."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")
