"""Which packages a command would fail to import, known without importing them."""

from collections.abc import Iterable
from importlib.util import find_spec

DISTRIBUTIONS = {
    "sklearn": "scikit-learn",
    "ibis": "ibis-framework",
    "tensorflow": "tensorflow-cpu",
    "loyalty_client": "loyalty-client",
}
"""Those that are installed by another name than they are imported by."""


def missing_packages(modules: Iterable[str]) -> str:
    """The modules that are not there, as what is to be installed: "duckdb, scipy and tqdm"; empty if all are."""
    names = sorted(DISTRIBUTIONS.get(module, module) for module in modules if find_spec(module) is None)
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
