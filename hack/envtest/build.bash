# Shared by what builds Kubernetes' programs from their Go modules. Expects say().

cache=${VMLET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vmlet}/envtest

# pinned <directory of a go.mod> <module>: the version that go.mod asks for.
pinned() {
  awk -v module="$2" '{sub(/^require /, "")} $1 == module {print $2; exit}' "$1/go.mod"
}

# pins <directory of a go.mod>: a short name for all that go.mod and go.sum pin.
pins() {
  cat "$1/go.mod" "$1/go.sum" | sha256sum | cut -c1-12
}

# One builder at a time: two at once would need twice the memory and save nothing. Held until the script ends.
take_turn() {
  command -v go > /dev/null || { say "go is not installed; it builds Kubernetes' programs (or set $1)"; exit 1; }
  mkdir -p "$cache"
  exec 9> "$cache/lock"
  flock --nonblock 9 || { say "waiting for another build"; flock --timeout 3600 9; }
}

# The release stamps its version by linker flags; unstamped binaries call
# themselves v0.0.0-master, which clients that compare versions misread.
stamp() { # <Kubernetes version, v1.N.P>
  local minor=${1#v1.}
  local package
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    printf -- ' -X %s.gitVersion=%s -X %s.gitMajor=1 -X %s.gitMinor=%s' \
      "$package" "$1" "$package" "$package" "${minor%%.*}"
  done
}

# build <directory of a go.mod> <Kubernetes version> <package> <output>
build() {
  say "building ${4##*/} ($2)"
  (cd "$1" && CGO_ENABLED=0 GOWORK=off nice -n 5 \
    go build -mod=readonly -buildvcs=false -trimpath -ldflags "-s -w$(stamp "$2")" -o "$4" "$3") 9>&- >&2
}
