# The guest: its monitor, its image, its key; from the manifest to the first login. Sourced by hack/quickstart.

vm=web
release=https://github.com/cloud-hypervisor/cloud-hypervisor/releases/download/v53.0/cloud-hypervisor-static

kvm_works() {
  [ -e /dev/kvm ] && (exec 3<> /dev/kvm) 2> /dev/null && grep -qE '^flags.* (vmx|svm)( |$)' /proc/cpuinfo
}

# Sets vmm_options and, where KVM works and is not used, why.
choose_vmm() {
  vmm_options=(--emulation auto)
  kvm_works || return 0
  if [ -e "$dir/state/bin/cloud-hypervisor-53.0" ] || curl -fsIL --max-time 20 -o /dev/null "$release" 2> /dev/null; then
    ensure_firmware
    vmm_options+=(--vmm-url "$release" --firmware "$firmware")
  else
    say "standalone: KVM works here, but $release cannot be reached: guests are emulated"
    vmm_options=(--emulation on)
  fi
}

# Chosen once and written down, because a VM keeps the image that it was made with. Sets image_kind and image_why.
ensure_image() {
  if [ ! -s "$dir/image" ]; then
    local kind=built why
    if why=$(catalog_out_of_reach); then
      say "image: building Debian 13 from Debian packages, because $why; a minute or two"
    else
      kind=catalog why="its catalog could be reached"
    fi
    printf '%s\n%s\n' "$kind" "$why" > "$dir/image.new"
    mv "$dir/image.new" "$dir/image"
  fi
  { read -r image_kind && read -r image_why; } < "$dir/image"
  if [ "$image_kind" = catalog ]; then
    say "image: debian-13 of the catalog, because $image_why; vmlet fetches it"
    return
  fi
  if [ ! -s "$dir/images/debian-13/SHA256SUMS" ]; then
    need_space 2600 "the guest image"
    ensure_packages mmdebstrap=mmdebstrap mkfs.ext4=e2fsprogs sfdisk=fdisk
    "$here/guests/cloud" "$dir/images/debian-13" < /dev/null 2>&1 | tee "$logs/image.log" | sed -un 's/^cloud: /  /p' || {
      rm -f "$dir/image"
      die "the guest image could not be built from the packages of $mirror (log: $logs/image.log)." \
        "See that this machine reaches its Debian mirror (VMLET_DEBIAN_MIRROR names another), then run the same command again."
    }
  fi
  say "image: Debian 13 in $dir/images/debian-13, built from Debian packages, because $image_why"
}

# Says why; fails when it is in reach.
catalog_out_of_reach() {
  local url answer
  url=$(awk '/^  [a-z]/ {image = $1} image == "debian-13:" && $2 == "architecture:" {machine = $3}
    image == "debian-13:" && machine == "x86_64" && $1 == "url:" {print $2; exit}' "$top/src/main/resources/image-catalog.yaml")
  answer=$(curl -sIL --max-time 20 -o /dev/null -w '%{http_code}' "$url" 2> /dev/null) || true
  case $answer in
    200) return 1 ;;
    '' | 000) echo "${url%/*} of the catalog cannot be reached" ;;
    *) echo "$url of the catalog answers $answer" ;;
  esac
}

# Sets key, the private half that this script logs in with, and public_keys.
ensure_key() {
  local candidate
  public_keys=()
  key=
  for candidate in "${HOME:-/root}"/.ssh/id_ed25519 "${HOME:-/root}"/.ssh/id_ecdsa "${HOME:-/root}"/.ssh/id_rsa; do
    if [ ! -r "$candidate" ] || [ ! -r "$candidate.pub" ]; then continue; fi
    public_keys+=("$(head -n 1 "$candidate.pub")")
    # A key with a passphrase opens the guest for you, not for a script.
    if [ -z "$key" ] && ssh-keygen -y -P '' -f "$candidate" > /dev/null 2>&1; then key=$candidate; fi
  done
  if [ -n "$key" ] && [ ! -e "$dir/id_ed25519" ]; then
    say "key: yours, $key"
    return
  fi
  [ -e "$dir/id_ed25519" ] || ssh-keygen -q -t ed25519 -N '' -C vmlet-quickstart -f "$dir/id_ed25519"
  key=$dir/id_ed25519
  public_keys+=("$(cat "$key.pub")")
  say "key: $key, made for this"
}

json_list() { # <word>...
  local word list=
  for word; do
    word=${word//\\/\\\\}
    list+=${list:+, }\"${word//\"/\\\"}\"
  done
  echo "[$list]"
}

apply_examples() {
  if kube get vm "$vm" -o name > /dev/null 2>&1; then
    say "VM default/$vm: there already"
    return
  fi
  local manifests=$dir/manifests
  mkdir -p "$manifests"
  cp "$top/examples/network.yaml" "$top/examples/vm.yaml" "$manifests/"
  {
    cat <<TEXT
# The examples, for this machine. kubectl apply -k $manifests
resources: [network.yaml, vm.yaml]
patches:
- target: {kind: VirtualMachine, name: $vm}
  patch: |
    - {op: replace, path: /spec/cloudInit/sshAuthorizedKeys, value: $(json_list "${public_keys[@]}")}
    - {op: replace, path: /spec/cpu/cores, value: $(cores)}
    - {op: replace, path: /spec/memory/size, value: $(memory)}
TEXT
    if [ "$image_kind" != catalog ]; then
      cat <<TEXT
    - {op: replace, path: /spec/disks/0/image, value: {path: debian-13/disk.raw}}
    - op: add
      path: /spec/boot
      value:
        kernel:
          path: debian-13/vmlinuz
          initramfs: {path: debian-13/initrd.img}
          cmdline: console=ttyS0 root=LABEL=root ro quiet mitigations=off
TEXT
    fi
  } > "$manifests/kustomization.yaml"
  run apply kube apply -k "$manifests" || die "the examples were not taken: $(cat "$logs/apply.log")" \
    "They are in $manifests; mend them there, or run the same command again."
  say "VM default/$vm: applied examples/network.yaml and examples/vm.yaml, with your key and this image ($manifests)"
}

cores() { if [ "$(nproc)" -ge 2 ]; then echo 2; else echo 1; fi; }

# Half of what is free, 2 GiB at most; the image wants 1 GiB.
memory() {
  local free
  free=$(awk '/^MemAvailable/ {print int($2 / 1024)}' /proc/meminfo)
  if [ "$free" -ge 4096 ]; then echo 2Gi; else echo 1Gi; fi
}

conditions() {
  kube get vm "$vm" -o 'jsonpath={range .status.conditions[*]}{.type}{"\t"}{.status}{"\t"}{.reason}{"\t"}{.message}{"\n"}{end}'
}

# What no waiting mends.
hopeless='NoSpace|ImageNotFound|ImageRefused|ImageChecksumMismatch|ImageFormatMismatch|ImageLargerThanDisk|InvalidSpec'
hopeless+='|NotEnoughMemory|NoVirtualization|VmmUnavailable|CidrOverlaps|PoolExhausted|UserIdsExhausted|HostRefused'

# Each condition when it changes, until the guest answers.
watch_vm() {
  local start=$SECONDS deadline=$((SECONDS + 900)) now type status reason message seen ready=
  local -A last=() told=()
  local bad='' bad_since=0
  while [ -z "$ready" ]; do
    [ $SECONDS -lt $deadline ] || die "the guest did not answer within 15 minutes." \
      "Look: KUBECONFIG=$KUBECONFIG $kubectl describe vm $vm; console: $(serial_log). Run the same command again to wait on."
    seen=$(conditions 2> "$logs/watch.log") || {
      alive "$dir/standalone.pid" || die "vmlet standalone ended: $(reason standalone)" "Run the same command again to go on."
      seen=
    }
    now=$((SECONDS - start)) bad_now=
    while IFS=$'\t' read -r type status reason message; do
      [ -n "$type" ] || continue
      if [[ $status = False && $reason =~ ^($hopeless)$ ]]; then bad_now="$type: $message"; fi
      if [ "$type" = Ready ]; then
        [ "$status" != True ] || ready=yes
        continue
      fi
      # Progress changes by the second.
      if [ "${last[$type]-}" != "$status$reason$message" ] \
        && { [ "${told[$type]-}" != "$status$reason" ] || [ $((now % 5)) = 0 ]; }; then
        last[$type]=$status$reason$message
        told[$type]=$status$reason
        printf '  %3d s  %-14s %-7s %s\n' "$now" "$type" "$status" "$message"
      fi
    done <<< "$seen"
    if [ -z "$bad_now" ] || [ -z "$bad" ]; then bad=$bad_now bad_since=$SECONDS; fi
    [ -z "$bad" ] || [ $((SECONDS - bad_since)) -lt 15 ] || die "the guest cannot start: $bad" \
      "Run the same command again when that is mended; hack/quickstart --down removes everything."
    [ -n "$ready" ] || sleep 1
  done
}

serial_log() { echo "$dir/state/vms/$(kube get vm "$vm" -o 'jsonpath={.metadata.uid}' 2> /dev/null)/serial.log"; }

guest_ssh() { # <command>...
  ssh -n -i "$key" -o BatchMode=yes -o StrictHostKeyChecking=accept-new -o UserKnownHostsFile="$dir/known_hosts" \
    -o ConnectTimeout=20 -o LogLevel=ERROR "debian@$address" "$@"
}

# Port 22 answers before cloud-init has put the key in place.
log_in() {
  address=$(kube get vm "$vm" -o 'jsonpath={.status.addresses[0].ip}')
  local deadline=$((SECONDS + 180))
  # shellcheck disable=SC2016 # the guest's shell expands it
  until hello=$(guest_ssh 'echo "$(whoami)@$(hostname), $(. /etc/os-release && echo "$PRETTY_NAME"), Linux $(uname -r)"' 2> "$logs/ssh.log"); do
    [ $SECONDS -lt $deadline ] || die "port 22 of $address answers, but the login fails: $(reason ssh)" \
      "The guest's console is in $(serial_log). Run the same command again to try once more."
    sleep 1
  done
  say "ssh: logged in as $hello"
}

summary() {
  local monitor version why
  monitor=$(kube get vm "$vm" -o 'jsonpath={.status.vmm.name}')
  version=$(kube get vm "$vm" -o 'jsonpath={.status.vmm.version}')
  why=$(kube get vmnodes -o 'jsonpath={.items[0].status.kvm.message}')
  echo
  kube get vm "$vm" -o wide
  cat <<TEXT

  VMM      $monitor $version: $why
  image    $(if [ "$image_kind" = catalog ]; then echo "debian-13 of the catalog"; else echo "Debian 13 built from Debian packages"; fi), because $image_why
  address  $address
  log in   ssh -i $key -o UserKnownHostsFile=$dir/known_hosts debian@$address
  kubectl  export KUBECONFIG=$KUBECONFIG
           $kubectl get vm
  the end  hack/quickstart --down$([ "$dir" = /var/lib/vmlet-quickstart ] || echo " --dir $dir")

$((SECONDS - began)) s in all.
TEXT
}
