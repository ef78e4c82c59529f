#!/bin/sh
# Prints the Python to use: the first of the versions asked for (default: Lambda's, then older ones)
# that starts, on PATH or under pyenv. A pyenv shim for a version that is not active does not start.
set -u
[ $# -gt 0 ] || set -- 3.13 3.12 3.11
for version in "$@"; do
  for candidate in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version"*/bin/python"$version"; do
    if "$candidate" -c '' 2>/dev/null; then
      command -v "$candidate"
      exit 0
    fi
  done
done
for version in "$@"; do
  if apt-cache show "python$version" >/dev/null 2>&1; then # each Debian has one of them
    how="sudo apt-get install python$version python$version-venv"
    break
  fi
done
echo "Python $(echo "$@" | sed 's/ / or /g') was not found on PATH or in pyenv: install it with '${how:-pyenv install $1}' and try again." >&2
exit 1
