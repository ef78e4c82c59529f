"""The customers of the snapshot that is served now, ready to be scored."""

from loyalty_ml.customers.population import BLOCK_ROWS, Population
from loyalty_ml.customers.snapshot_store import SnapshotStore
from loyalty_ml.progress import Progress, no_progress


class CurrentCustomers:
    """Keeps the population of the current snapshot, so that its features are decoded once."""

    def __init__(self, snapshots: SnapshotStore, block_rows: int = BLOCK_ROWS) -> None:
        self._snapshots = snapshots
        self._block_rows = block_rows
        self._population: Population | None = None

    def get(self, on_fetch: Progress = no_progress, on_decode: Progress = no_progress) -> tuple[Population, str | None]:
        """The customers on this machine's disk, and why they are not the newest snapshot's, if they are not.

        on_fetch is told of bytes, on_decode of customers. Raises what SnapshotStore.current and Population raise, and
        what these two raise.
        """
        local = self._snapshots.current(on_fetch)
        if self._population is None or self._population.version != local.card.version:
            self._population = Population(local, on_decode, block_rows=self._block_rows)
        else:
            self._population.decode(on_decode)  # what somebody has removed: the store has fetched it again
        return self._population, local.trouble
