#!/bin/bash
# A fresh clone on a Debian 12 without Bazel. Needs root, debootstrap and port 4437.
# wanted: server/start serves the curl tour, restarts in under 10 s with its data, tests/run passes
set -euo pipefail

if [[ ${1:-} != inside ]]; then
  machine=$(mktemp -d "${TMPDIR:-/tmp}/ursula-bare-XXXXXX")
  # Mounts and processes of the namespaces end with them.
  trap 'rm -rf --one-file-system "$machine"' EXIT
  debootstrap --variant=minbase bookworm "$machine" >&2
  # The new machine reaches its package sources the way this one does.
  cp -n /etc/apt/apt.conf.d/* "$machine/etc/apt/apt.conf.d/"
  cp /etc/resolv.conf "$machine/etc/"
  cp -r /usr/local/share/ca-certificates "$machine/usr/local/share/"
  cp -r /etc/ssl "$machine/etc/"
  [[ ! -f $HOME/.npmrc ]] || cp "$HOME/.npmrc" "$machine/root/"
  git clone -q . "$machine/ursula"
  unshare --mount --pid --fork --kill-child bash -euc '
    mount -t proc proc "$1/proc"
    mount -t devtmpfs dev "$1/dev" && mkdir -p "$1/dev/shm" && mount -t tmpfs shm "$1/dev/shm"
    cd "$1" && exec chroot . env -i PATH="$PATH" HOME=/root \
      ${NODE_EXTRA_CA_CERTS:+NODE_EXTRA_CA_CERTS="$NODE_EXTRA_CA_CERTS"} \
      bash -c "cd /ursula && tests/bars/node-A.sh inside"' _ "$machine"
  exit
fi

base=http://127.0.0.1:4437

# start: runs server/start and waits for it; prints the seconds it took.
start() {
  local before=$SECONDS
  ./server/start >&2 &
  until (exec 3<>/dev/tcp/127.0.0.1/4437) 2>/dev/null; do
    kill -0 $! || exit 1
    sleep 0.2
  done
  server=$!
  started_in=$((SECONDS - before))
}

stop() {
  kill -TERM "$server"
  wait "$server"
}

start
first=$started_in
command -v curl >/dev/null || third_party/debian/install +curl
curl -fsS -X PUT $base/demo >&2
curl -fsS -X PUT $base/demo/hello -H 'Content-Type: text/plain' >&2
curl -fsS -X POST $base/demo/hello -H 'Content-Type: text/plain' --data-binary 'hello world' >&2
[[ $(curl -fsS "$base/demo/hello?offset=-1") == 'hello world' ]]
{ curl -sS -N --max-time 2 "$base/demo/hello?offset=-1&live=sse" || (($? == 28)); } | grep '^event: data' >&2
stop
start
[[ $(curl -fsS "$base/demo/hello?offset=-1") == 'hello world' ]]
stop

before=$SECONDS
verdict=0
tests/run 2>&1 | tee >(cat >&2) | tail -n 1 >/tmp/last-line || verdict=1
echo "first start ${first} s, second ${started_in} s, tests/run: $(</tmp/last-line) in $((SECONDS - before)) s"
((started_in < 10)) && exit "$verdict"
