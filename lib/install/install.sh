#!/bin/sh
# bazel run //:install -- [--prefix /usr/local] [--destdir DIR]
set -eu
prefix=/usr/local destdir= version=0.2.0
while [ $# -gt 0 ]; do
  case $1 in
    --prefix) prefix=$2; shift 2 ;;
    --destdir) destdir=$2; shift 2 ;;
    *) echo "usage: install [--prefix P] [--destdir D]" >&2; exit 2 ;;
  esac
done
case $prefix in /*) ;; *) prefix=${BUILD_WORKING_DIRECTORY:-$PWD}/$prefix ;; esac
root=${RUNFILES_DIR:-$0.runfiles}/ursula
[ -d "$root" ] || root=$PWD
to=$destdir$prefix
# Not this script, which has the same name, where PATH holds its folder.
put() { command -p install "$@"; }
mkdir -p "$to/bin" "$to/lib/pkgconfig" "$to/lib/cmake/ursula" "$to/include/ursula"
put -m 644 "$root"/lib/include/ursula/*.h "$to/include/ursula/"
put -m 644 "$root/libursula.a" "$to/lib/libursula.a"
put -m 755 "$root/libursula.so.0" "$to/lib/libursula.so.0"
ln -sf libursula.so.0 "$to/lib/libursula.so"
put -m 755 "$root/server/ursulad" "$to/bin/ursulad"
put -m 755 "$root/server/ctl/ursulactl" "$to/bin/ursulactl"
fill() { sed -e "s|@VERSION@|$version|" "$root/lib/install/$1" > "$2"; }
fill ursula.pc.in "$to/lib/pkgconfig/ursula.pc"
fill ursulaConfig.cmake.in "$to/lib/cmake/ursula/ursulaConfig.cmake"
fill ursulaConfigVersion.cmake.in "$to/lib/cmake/ursula/ursulaConfigVersion.cmake"
echo "installed into $to"
