"""The judge of a held load: each answer is of exactly one model set, and the new set's come after the old one's."""

import pytest

from benchmarks.held import Came, first_of_new

pytestmark = pytest.mark.unit

OLD = {"churn": "old churn", "nbo": "old nbo"}
NEW = {"churn": "new churn", "nbo": "new nbo"}


def came(*texts: str) -> list[Came]:
    return [Came(float(at), text.split()[1], text) for at, text in enumerate(texts)]


def test_the_first_answer_of_the_new_set_is_found() -> None:
    answers = came("old churn", "old nbo", "old churn", "new nbo", "new churn")
    assert first_of_new(answers, OLD, NEW) == 3.0


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        (("old churn", "new nbo", "old churn"), "An answer of the old model set came after one of the new"),
        (("old churn", "mixed nbo", "new churn"), "An answer is not of one model set"),
        (("old churn", "old nbo"), "The new model set did not answer"),
    ],
)
def test_whatever_is_not_one_set_after_the_other_is_refused(texts: tuple[str, ...], problem: str) -> None:
    with pytest.raises(RuntimeError, match=problem):
        first_of_new(came(*texts), OLD, NEW)


def test_two_sets_that_answer_alike_show_nothing() -> None:
    with pytest.raises(RuntimeError, match="An answer is not of one model set"):
        first_of_new(came("old churn"), OLD, {**NEW, "churn": "old churn"})
