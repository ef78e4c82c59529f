"""The reference pages, written from the code: `make docs` writes them, `make check` fails when one has drifted."""
