"""What a fit shows as it goes: a bar at a terminal, lines elsewhere."""

from io import StringIO

import pytest

from training.learning.progress import FitProgress

pytestmark = pytest.mark.unit


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_a_line_comes_every_half_minute_with_the_time_left() -> None:
    now = [0.0]
    lines: list[str] = []
    with FitProgress("Fitting churn", 60, say=lines.append, out=StringIO(), clock=lambda: now[0]) as progress:
        for epoch in range(1, 21):
            now[0] += 4
            progress.epoch(epoch, 0.5 / epoch)
    assert lines == [
        "  Fitting churn: epoch 8 of at most 60, loss 0.0625, at most 208 s left",
        "  Fitting churn: epoch 16 of at most 60, loss 0.0312, at most 176 s left",
    ]


def test_a_quick_fit_says_nothing() -> None:
    lines: list[str] = []
    with FitProgress("Fitting churn", 60, say=lines.append, out=StringIO(), clock=lambda: 0.0) as progress:
        progress.epoch(1, 0.5)
    assert lines == []


def test_a_terminal_gets_a_bar_and_no_lines() -> None:
    lines: list[str] = []
    terminal = Terminal()
    with FitProgress("Fitting churn", 60, say=lines.append, out=terminal) as progress:
        progress.epoch(1, 0.5)
        progress.epoch(60, 0.25)
    assert lines == []
    shown = terminal.getvalue()
    assert "Fitting churn" in shown
    assert "0/60" in shown
