"""Runs a notebook and writes it with its outputs: run_notebook.py NOTEBOOK INTO. For .venv-client's Python.

What a reader of the file cannot see is left out: bars, which are of the one who waits, ids, and when it was run.
"""

import sys

import nbformat  # type: ignore[import-not-found]  # which only .venv-client has
from nbclient import NotebookClient  # type: ignore[import-not-found]


def is_bar(output: nbformat.NotebookNode) -> bool:
    is_widget = "application/vnd.jupyter.widget-view+json" in output.get("data", {})
    return is_widget or output.get("name") == "stderr"


def main(path: str, into: str) -> None:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3", record_timing=False).execute()
    bars = 0
    for cell in notebook.cells:
        if cell.cell_type == "code":
            shown = [output for output in cell.outputs if not is_bar(output)]
            bars += len(cell.outputs) - len(shown)
            cell.outputs = shown
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    nbformat.write(notebook, into)
    sys.stdout.write(f"{bars}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
