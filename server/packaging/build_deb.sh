#!/bin/bash
# Makes the Debian package.
#
# usage: build_deb.sh OUT.deb VERSION URSULAD [FILE...]   (the FILEs are found by their names)
set -euo pipefail
out=$1 version=$2 binary=$3
declare -A file
for path in "${@:4}"; do file[${path##*/}]=$path; done

export SOURCE_DATE_EPOCH=1700000000  # The same content gives the same package.
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
put() { install -D -m "$1" "$2" "$root/$3"; }

put 755 "$binary" usr/bin/ursulad
put 755 "${file[ursulactl]}" usr/bin/ursulactl
strip --strip-unneeded --remove-section=.comment "$root"/usr/bin/*
put 644 "${file[ursulad.service]}" lib/systemd/system/ursulad.service
put 644 "${file[ursulad.toml]}" etc/ursulad/ursulad.toml
put 644 "${file[OPERATING.md]}" usr/share/doc/ursulad/OPERATING.md
put 644 "${file[alerts.yml]}" usr/share/doc/ursulad/alerts.yml
put 644 "${file[LICENSE]}" usr/share/doc/ursulad/copyright
for script in postinst prerm postrm; do put 755 "${file[$script]}" "DEBIAN/$script"; done
echo /etc/ursulad/ursulad.toml >"$root/DEBIAN/conffiles"

# The packages of the libraries they name. Their names carry the libraries' versions, but for those of
# which Debian 12's is meant.
depends=
libraries=$(objdump -p "$root"/usr/bin/* | awk '$1 == "NEEDED" {print $2}' | sort -u)
resolved=$(ldd "$root"/usr/bin/*)
for library in $libraries; do
  path=$(awk -v name="$library" '$1 == name && $3 ~ /^\// {print $3; exit}' <<<"$resolved")
  [[ -n $path ]] || continue  # The loader itself.
  # What /lib holds is known under /lib or /usr/lib.
  package=$(dpkg-query -S "$path" 2>/dev/null || dpkg-query -S "/usr$path" 2>/dev/null ||
    dpkg-query -S "$(realpath "$path")")
  package=${package%%:*}
  case $package in
    libc6) package='libc6 (>= 2.36)' ;;
    libstdc++6 | libgcc-s1) package="$package (>= 12)" ;;
  esac
  depends+=$package$'\n'
done
depends=$(sort -u <<<"${depends%$'\n'}" | paste -sd, | sed 's/,/, /g')

(cd "$root" && find etc lib usr -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
chmod 644 "$root"/DEBIAN/{md5sums,conffiles}
cat >"$root/DEBIAN/control" <<END
Package: ursulad
Version: $version
Architecture: amd64
Maintainer: The libursula project <ursula@localhost>
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f1)
Depends: $depends
Section: net
Priority: optional
Description: durable streams server
 Many small, replayable, append-only event streams over HTTP and SSE, kept
 durably on disk. Its service starts with the machine and listens on
 127.0.0.1:4437; see /etc/ursulad/ursulad.toml. ursulactl asks it, and the
 nodes of a cluster, how they are.
END
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
chmod 755 "$root" && find "$root" -type d -exec chmod 755 {} +
dpkg-deb --root-owner-group -Zxz -b "$root" "$out" >/dev/null
