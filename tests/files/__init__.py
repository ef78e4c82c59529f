import pytest

# Modules of these tests that are no test modules, but assert as much.
pytest.register_assert_rewrite(
    "tests.files.deployed", "tests.files.disturbed", "tests.files.generated", "tests.files.writings"
)
