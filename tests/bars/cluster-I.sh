#!/bin/bash
# Two commands on a bare Debian 12, which debootstrap makes in a directory: server/start --cluster 3, and tests/run. As root; about an hour.
# wanted: what one node took the other two give; a signal stops all; "0 failed"
# URSULA_BARE_TESTS=0 leaves tests/run out; the bar doesn't hold then.
set -euo pipefail
third_party/debian/install +debootstrap +curl >&2
# A process and mount namespace of its own: whatever is left running or mounted goes with it.
if [[ ${URSULA_BARE:-} != inside ]]; then
  mkdir -p .cache
  bare=$(mktemp -d -p "$PWD/.cache" bare.XXXXXX)
  trap 'rm -rf --one-file-system "$bare"' EXIT
  URSULA_BARE=inside unshare --mount --pid --fork --kill-child --mount-proc "$0" "$bare"
  exit
fi

bare=$1
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
chmod 755 "$bare"  # apt reads as a user of its own.
debootstrap --variant=minbase bookworm "$bare" "$mirror" >&2
git clone -q --no-hardlinks . "$bare/ursula"
mount -t proc proc "$bare/proc"
mount --rbind /dev "$bare/dev"
mount --rbind /sys "$bare/sys"
cp /etc/resolv.conf "$bare/etc/"
inside=(env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root)
if [[ -n ${NODE_EXTRA_CA_CERTS:-} ]]; then  # Of a network that has its own.
  cp "$NODE_EXTRA_CA_CERTS" "$bare/etc/more-ca.pem"
  inside+=(NODE_EXTRA_CA_CERTS=/etc/more-ca.pem)
fi
run_inside() { chroot "$bare" "${inside[@]}" bash -c "cd /ursula && $1"; }

said=$bare/said
started=$SECONDS
chroot "$bare" "${inside[@]}" bash -c 'cd /ursula && exec ./server/start --cluster 3' >"$said" &
server=$!
until grep -q '^Ctrl-C stops' "$said"; do
  kill -0 "$server" || { echo "server/start has ended"; exit 1; }
  sleep 1
done
took=$((SECONDS - started))
mapfile -t urls < <(sed -nE 's/^node [0-9]+: (http[^ ]*) .*/\1/p' "$said")
((${#urls[@]} == 3))
type='Content-Type: text/plain'
curl -fsS -X PUT -H "$type" "${urls[0]}/v1/stream/bare" >&2
curl -fsS -H "$type" -d 'kept by three' "${urls[1]}/v1/stream/bare" >&2
for url in "${urls[@]}"; do
  [[ $(curl -fsS "$url/v1/stream/bare?offset=-1") == 'kept by three' ]]
done
kill -TERM "$server"
wait "$server"
grep -q 'All nodes have stopped' "$said"
echo "three nodes served after $took s"
if [[ ${URSULA_BARE_TESTS:-1} == 0 ]]; then
  echo "three nodes served after $took s; tests/run was left out"
  exit 1
fi
verdict=$(run_inside ./tests/run | tee /dev/stderr | tail -n 1)
echo "three nodes served after $took s; tests/run: $verdict"
[[ $verdict =~ ^[1-9][0-9]*\ passed,\ 0\ failed$ ]]
