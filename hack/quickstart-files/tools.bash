# What the quickstart runs on: Debian packages, a JDK, a kubectl. Sourced by hack/quickstart, which has say, die and run,
# and by way of hack/guests/common.bash debian_download.

tools=$dir/tools
triplet=x86_64-linux-gnu

# ensure_packages [--first] <command or file>=<package>...: installs those whose command or file is missing.
ensure_packages() {
  local pair missing=() first=
  if [ "$1" = --first ]; then first=yes && shift; fi
  for pair; do
    [ -e "${pair%%=*}" ] || command -v "${pair%%=*}" > /dev/null || missing+=("${pair#*=}")
  done
  if [ ${#missing[@]} = 0 ]; then
    [ -z "$first" ] || say "packages: all there"
    return 0
  fi
  say "packages: installing ${missing[*]}"
  local apt=(apt-get -q -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2 -o Acquire::http::Timeout=20)
  # Lists that are there may name files that the mirror no longer has.
  if ! run packages "${apt[@]}" update || ! DEBIAN_FRONTEND=noninteractive run packages \
    "${apt[@]}" install --no-install-recommends "${missing[@]}"; then
    die "apt-get could not install ${missing[*]}: $(reason packages)" \
      "See that this machine reaches its Debian mirror (apt-get update), then run the same command again."
  fi
  printf '%s\n' "${missing[@]}" >> "$dir/installed-packages"
}

# A JDK: its release file says JAVA_VERSION="25.0.5". A JRE has no javac and does not count.
jdk_version() { # <java home>
  local version
  [ -x "$1/bin/javac" ] && [ -r "$1/release" ] || return 1
  version=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$1/release")
  [ "${version:-0}" -ge 25 ] && echo "$version"
}

# Sets java_home.
ensure_jdk() {
  local home version javac
  javac=$(readlink -m "$(command -v javac || echo /nowhere/bin/javac)")
  for home in "${JAVA_HOME:-/nowhere}" "${javac%/bin/javac}" /usr/lib/jvm/* "$tools"/java/usr/lib/jvm/*; do
    # The private one is whole once its key store, made last, is there.
    case $home in "$tools"/*) [ -s "$home/lib/security/cacerts" ] || continue ;; esac
    if version=$(jdk_version "$home"); then
      java_home=$home
      say "java: JDK $version in $java_home"
      return
    fi
  done
  unpack_jdk
}

# Debian 12 has no JDK 25. The one of a newer suite wants a newer C library too: both are unpacked below $tools/java, and
# the programs of that JDK, nothing else, are told to take this library. What they start takes the system's.
unpack_jdk() {
  need_space 1600 "the JDK"
  say "java: no JDK 25 or newer is installed; fetching a newer Debian's (400 MiB), for $tools/java alone"
  local root=$tools/java work=$tools/java.work suite file link
  rm -rf "$root" "$work"
  mkdir -p "$work" "$root"
  fetch "$work/debs" openjdk-25-jdk-headless openjdk-25-jre-headless libc6 libgcc-s1 libstdc++6 zlib1g
  for file in "$work"/debs/*.deb; do dpkg -x "$file" "$root"; done
  rm -rf "$work/debs"
  ensure_patchelf
  local libraries=$root/usr/lib/$triplet loader
  loader=$(find "$root" -name 'ld-linux-x86-64.so.2' -type f | head -n 1)
  java_home=$(dirname "$(dirname "$(find "$root/usr/lib/jvm" -path '*/bin/javac' | head -n 1)")")
  # Debian keeps a JDK's configuration in /etc and links to it; ours is below $root.
  find "$java_home/" -type l -lname '/*' -print | while read -r link; do ln -sfn "$root$(readlink "$link")" "$link"; done
  rm -rf "$java_home/jmods" "$java_home/lib/src.zip"
  for file in "$java_home"/bin/* "$java_home/lib/jspawnhelper"; do
    [ ! -L "$file" ] || continue
    # shellcheck disable=SC2016 # $ORIGIN is the loader's word
    "$patchelf" --set-interpreter "$loader" --force-rpath --set-rpath '$ORIGIN/../lib:$ORIGIN:'"$libraries" "$file"
  done
  # Debian's JDK takes /etc/ssl/certs/java/cacerts, which another package makes; ours is made of the same certificates.
  rm -f "$java_home/lib/security/cacerts"
  run java "$java_home/bin/java" "$here/quickstart-files/KeyStoreOfPem.java" /etc/ssl/certs/ca-certificates.crt \
    "$work/cacerts" || die "the unpacked JDK does not run: $(reason java)" \
    "Install a JDK 25 or newer by hand, set JAVA_HOME, and run the same command again."
  mv "$work/cacerts" "$java_home/lib/security/cacerts"
  rm -rf "$work"
  say "java: JDK 25 of Debian $suite, unpacked in $java_home"
}

ensure_patchelf() {
  patchelf=$(command -v patchelf) && return
  mkdir -p "$work/patchelf"
  (cd "$work/patchelf" && run patchelf apt-get -q -o APT::Sandbox::User=root download patchelf) || {
    run patchelf apt-get -q update && (cd "$work/patchelf" && run patchelf apt-get -q -o APT::Sandbox::User=root download patchelf)
  } || die "apt-get could not fetch patchelf: $(reason patchelf)" \
    "See that this machine reaches its Debian mirror (apt-get update), then run the same command again."
  dpkg -x "$work"/patchelf/patchelf_*.deb "$work/patchelf"
  patchelf=$work/patchelf/usr/bin/patchelf
}

kubectl_minor() { # <kubectl>
  "$1" version --client -o json 2> /dev/null | sed -n 's/.*"gitVersion": *"v1\.\([0-9]*\).*/\1/p' | head -n 1
}

# Sets kubectl.
ensure_kubectl() {
  local candidate minor
  for candidate in "$(command -v kubectl || true)" "$tools/kubectl"; do
    [ -x "$candidate" ] || continue
    minor=$(kubectl_minor "$candidate")
    if [ "${minor:-0}" -ge 28 ]; then
      kubectl=$candidate
      say "kubectl: 1.$minor in $kubectl"
      return
    fi
  done
  need_space 300 "kubectl"
  local suite work=$tools/kubectl.work
  say "kubectl: none of 1.28 or newer is installed; fetching a newer Debian's, for $tools alone"
  mkdir -p "$work"
  fetch "$work/debs" kubectl
  dpkg -x "$work"/debs/kubectl_*.deb "$work"
  mv "$work/usr/bin/kubectl" "$tools/kubectl"
  rm -rf "$work"
  kubectl=$tools/kubectl
  say "kubectl: 1.$(kubectl_minor "$kubectl") of Debian $suite, unpacked as $kubectl"
}

# The firmware with which cloud-hypervisor boots whole disks; Debian has it in sid only. Sets firmware.
ensure_firmware() {
  firmware=/usr/share/cloudhv-efi-x86-64/CLOUDHV.fd
  [ ! -r "$firmware" ] || return 0
  firmware=$tools/CLOUDHV.fd
  [ ! -r "$firmware" ] || return 0
  local suite work=$tools/firmware.work
  say "firmware: fetching Debian's cloudhv-efi for cloud-hypervisor, as $firmware"
  mkdir -p "$work"
  fetch "$work/debs" cloudhv-efi-x86-64
  dpkg -x "$work"/debs/cloudhv-efi-x86-64_*.deb "$work"
  mv "$work/usr/share/cloudhv-efi-x86-64/CLOUDHV.fd" "$firmware"
  rm -rf "$work"
}

# fetch <dir> <package>...: from Debian stable, else from what is being prepared; says which in $suite.
fetch() {
  local to=$1
  shift
  for suite in trixie forky sid; do
    rm -rf "$to"
    if (debian_download "$suite" "$to" "$@") > "$logs/fetch.log" 2>&1; then
      rm -rf "$to/apt"
      return
    fi
    ! grep -q 'no package lists' "$logs/fetch.log" || break
  done
  die "could not fetch $* from $mirror: $(reason fetch)" \
    "See that this machine reaches it (VMLET_DEBIAN_MIRROR names another mirror), then run the same command again."
}
