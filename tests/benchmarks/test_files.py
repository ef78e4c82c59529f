"""The benchmark of files stands in for S3, jobs and snapshot: the service scores with it as with the real ones."""

import pytest

from benchmarks import files, sample_models

ROWS = 1000


@pytest.mark.unit
@pytest.mark.parametrize("columns", [files.HEADER, files.HEADER[:1]], ids=["features", "ids"])
def test_a_file_is_scored_whole_with_the_stand_ins(columns: tuple[str, ...]) -> None:
    service = files.file_service(sample_models.model_store().current(), ROWS)
    files.score(service, files.csv_file(ROWS, columns))
    assert files.predictions(service).shape[0] == ROWS
