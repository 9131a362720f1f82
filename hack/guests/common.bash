# Shared by the guest builders beside it; source it after `set -euo pipefail`.

mirror=${VMLET_DEBIAN_MIRROR:-http://deb.debian.org/debian}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
cache=${VMLET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vmlet}/guests

say() { echo "${0##*/}: $*" >&2; }
die() { say "$*"; exit 1; }

# need <command>=<package>...: installs the packages whose command or file is missing.
need() {
  local pair missing=()
  for pair; do
    [ -e "${pair%%=*}" ] || command -v "${pair%%=*}" > /dev/null || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || die "needs ${missing[*]}: install them, or run as root"
  say "installing ${missing[*]}"
  apt_install "${missing[@]}" || { apt-get -qq update >&2 && apt_install "${missing[@]}"; } \
    || die "apt-get could not install ${missing[*]}"
}

apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends -o Dpkg::Use-Pty=0 "$@" < /dev/null > /dev/null
}

# debian_download <suite> <dir> <package>...: fetches packages of a Debian suite,
# whatever distribution the host runs; nothing is installed, the host's lists stay as they are.
debian_download() {
  local suite=$1 dir=$2
  shift 2
  mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial"
  echo "deb [signed-by=$keyring] $mirror $suite main" > "$dir/apt/sources.list"
  : > "$dir/apt/status"
  local options=(
    -o APT::Sandbox::User=root -o APT::Architecture=amd64 -o APT::Architectures::=amd64
    -o Dir::Etc::sourcelist="$dir/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::State::lists="$dir/apt/lists" -o Dir::State::status="$dir/apt/status"
    -o Dir::Cache="$dir/apt/cache"
  )
  apt-get "${options[@]}" -qq update >&2 || die "no package lists from $mirror"
  local package resolved=()
  for package; do
    # linux-image-cloud-amd64 and its like are empty: fetch what they stand for.
    case $package in
      linux-image-cloud-*) package=$(apt-cache "${options[@]}" depends "$package" | awk '/Depends: linux-image/ {print $2; exit}') ;;
    esac
    [ -n "$package" ] || die "no cloud kernel in $suite"
    resolved+=("$package")
  done
  (cd "$dir" && apt-get "${options[@]}" -qq download "${resolved[@]}") >&2 || die "could not download ${resolved[*]}"
}

# cached <name> <hash> <build function>: leaves the path of the finished build in
# $built. The function fills the directory it is given; it becomes visible by a
# rename, so an interrupted build leaves nothing behind that looks finished.
cached() {
  local name=$1 hash=$2 build=$3
  built=$cache/$name-$hash
  [ ! -d "$built" ] || return 0
  mkdir -p "$cache"
  exec 9> "$cache/$name.lock"
  flock --nonblock 9 || { say "waiting for another build"; flock --timeout 1800 9 || die "another build did not end"; }
  if [ ! -d "$built" ]; then
    building=$(mktemp -d "$cache/building.XXXXXX")
    trap 'rm -rf "$building"' EXIT
    mkdir "$building/out" "$building/work"
    "$build" "$building/out" "$building/work" 9>&-
    mv -T "$building/out" "$built"
    rm -rf "$building"
    trap - EXIT
  fi
  exec 9>&-
}

# publish <from> <to>: copies files, sparse, each appearing by a rename. SHA256SUMS
# goes last and marks the directory as complete.
publish() {
  local from=$1 to=$2 file
  mkdir -p "$to"
  if cmp -s "$from/SHA256SUMS" "$to/SHA256SUMS" && complete "$to"; then return 0; fi
  rm -f "$to/SHA256SUMS"
  for file in $(awk '{print $2}' "$from/SHA256SUMS") SHA256SUMS; do
    cp --sparse=always "$from/$file" "$to/.$file.new"
    mv -T "$to/.$file.new" "$to/$file"
  done
}

complete() {
  local file
  for file in $(awk '{print $2}' "$1/SHA256SUMS"); do [ -s "$1/$file" ] || return 1; done
}
