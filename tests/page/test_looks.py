"""Every view, as wide as a phone and as a screen, light and dark: nothing that axe finds, and a picture of each."""

from collections.abc import Callable

import pytest

from tests import sample_set
from tests.page.conftest import Scheme, View

pytestmark = [pytest.mark.page, pytest.mark.process]

VIEWS = {
    "status": "status",
    "report": f"status/churn/{sample_set.manifest().models['churn'].version}",
    "predict-empty": "predict",
    "predict-single": "predict?mode=single&type=all&id=1",
    "predict-unknown": "predict?mode=single&type=churn&id=nobody",
    "segments": "segments",
    "segment": "segments/at-risk",
    "segment-cell": "segments/high-value?cell=R4F5",
    "segment-few": "segments/pilot",
    "segment-unknown": "segments/none",
    "segment-define": "segments?define=rule",
    "files": "files",
    "predict-batch": "predict?mode=batch&type=all&ids=1,2,3,4,5,6,7,8,nobody",
}
NARROW = 360
# A window of 1,280 px at 400 % (WCAG 1.4.10).
NARROWEST = 320
SMALL_AND_LARGE: list[tuple[int, Scheme]] = [(1440, "light"), (360, "dark")]
OTHERS: list[tuple[int, Scheme]] = [(360, "light"), (1440, "dark"), (768, "light"), (2560, "light")]


def look(view: Callable[..., View], width: int, scheme: Scheme) -> None:
    opened = view(width, scheme)
    found = {}
    for name, address in VIEWS.items():
        opened.go(address)
        opened.keep(f"{name}-{scheme}-{width}")
        problems = opened.violations()
        if opened.overflows():
            problems.append("the page scrolls sideways")
        if width == NARROW:
            opened.page.set_viewport_size({"width": NARROWEST, "height": 900})
            if opened.overflows():
                problems.append(f"the page scrolls sideways at {NARROWEST} px")
            opened.page.set_viewport_size({"width": NARROW, "height": 900})
        if problems:
            found[name] = problems
    assert found == {}


@pytest.mark.parametrize(("width", "scheme"), SMALL_AND_LARGE)
def test_every_view_is_accessible_and_fits(view: Callable[..., View], width: int, scheme: Scheme) -> None:
    look(view, width, scheme)


@pytest.mark.long
@pytest.mark.parametrize(("width", "scheme"), OTHERS)
def test_every_view_is_accessible_and_fits_at_other_widths(
    view: Callable[..., View], width: int, scheme: Scheme
) -> None:
    look(view, width, scheme)
