"""What a command takes when it is told nothing. This module imports no package, so that --help is quick."""

from pathlib import Path

CONFIG = Path(__file__).with_name("warehouse.toml")
URL_VARIABLE = "WAREHOUSE_URL"
DEMO_URL = "duckdb://build/demo-warehouse.duckdb"

MODELS = Path("models")
PLACEHOLDER_SEED = 7
WORK = Path("build/materialize")
"""Of materialize: its parts, and where a killed run stands."""
