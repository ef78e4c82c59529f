#!/bin/sh
# node.sh FOLDER: prints the folder of the Node to use. That is the machine's, if it is recent enough for what builds the
# page (page/package.json, "engines"), or else the one that `make` has put into FOLDER/.venv-node. Nothing if there is none.
set -u
recent() {
  command -v npm >/dev/null &&
    node -e 'const [major, minor] = process.versions.node.split(".").map(Number);
      process.exit(major > 22 || (major === 22 && minor >= 12) ? 0 : 1)' 2>/dev/null
}
if recent; then
  dirname "$(command -v node)"
elif [ -x "$1/.venv-node/bin/node" ]; then
  echo "$1/.venv-node/bin"
fi
