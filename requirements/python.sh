#!/bin/sh
# Prints the Python to use: the first of the versions asked for (default: Lambda's, then older ones)
# that starts, on PATH or under pyenv. A pyenv shim for a version that is not active does not start.
set -u
how=
[ $# -gt 0 ] || { set -- 3.13 3.12 3.11 && how="sudo apt-get install python3 python3-venv"; }
for version in "$@"; do
  for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version"*/bin/python"$version"; do
    if "$candidate" -c '' 2>/dev/null; then
      command -v "$candidate"
      exit 0
    fi
  done
done
[ -n "$how" ] || ! apt-cache show "python$1" >/dev/null 2>&1 || how="sudo apt-get install python$1 python$1-venv"
echo "No Python $(echo "$@" | sed 's/ / or /g') was found on PATH or in pyenv: run '${how:-pyenv install $1}' and try again." >&2
exit 1
