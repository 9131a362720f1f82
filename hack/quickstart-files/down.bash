# The end: everything goes through its owner, then the host is looked at. Sourced by hack/quickstart.

take_down() {
  if [ ! -e "$marker" ]; then
    say "nothing to remove: there is no quickstart in $dir."
    leftovers ''
    return
  fi
  mkdir -p "$logs"
  exec 7> "$dir/lock"
  flock --nonblock 7 || die "another quickstart is at work in $dir." "Wait for it to end, then run the same command again."
  local installation=
  if [ -s "$dir/state/installation" ]; then
    installation=$(cat "$dir/state/installation")
    ensure_jdk
    ensure_kubectl
    [ -e "$dir/app/vmlet.jar" ] || die "$dir/app is gone, so nobody can stop what runs." "Run hack/quickstart first, then --down."
    start_standalone
    delete_objects
    await_empty_inventory
    stop "$dir/standalone.pid" 15
    say "standalone: stopped"
    remove_tables "$installation"
    remove_cgroups "$installation"
  fi
  local kept=
  if [ -d "$dir/state/retained" ] && [ -n "$(ls -A "$dir/state/retained")" ]; then
    kept=" with the retained disks in $dir/state/retained"
  fi
  local packages=
  [ ! -s "$dir/installed-packages" ] || packages=$(sort -u "$dir/installed-packages" | tr '\n' ' ')
  # Before the records go: as long as something is left, they say whose it is.
  leftovers "$installation"
  say "removing $dir$kept and $run_dir"
  exec 7>&-
  rm -rf "$dir" "$run_dir"
  local path
  for path in "$dir" "$run_dir"; do
    [ ! -e "$path" ] || die "$path is still there." "Remove it by hand."
  done
  say "files: none left"
  [ -z "$packages" ] || say "Debian packages that were installed for it stay: apt-get purge --autoremove $packages"
}

# Orderly: each guest's power button first.
delete_objects() {
  local vms
  vms=$(kube get vm -A --no-headers -o 'custom-columns=N:.metadata.namespace,V:.metadata.name')
  if [ -n "$vms" ]; then
    while read -r namespace name; do say "VM $namespace/$name: deleting"; done <<< "$vms"
    "$kubectl" delete vm --all -A --wait --timeout=300s > "$logs/delete.log" 2>&1 \
      || die "a VM did not go within five minutes: $(reason delete)" \
        "Look: KUBECONFIG=$KUBECONFIG $kubectl describe vm -A. Run the same command again to wait on."
  fi
  "$kubectl" delete vmnet --all -A --wait --timeout=120s > "$logs/delete.log" 2>&1 \
    || die "a Network did not go within two minutes: $(reason delete)" "Run the same command again to wait on."
}

# By vmlet itself, but for the node's own tables, which go last; what else there is, leftovers looks for.
await_empty_inventory() {
  local deadline=$((SECONDS + 90)) rows
  while :; do
    if rows=$(vmlet inventory --state-dir "$dir/state" --run-dir "$run_dir" 2> "$logs/inventory.log"); then
      rows=$(tail -n +2 <<< "$rows" | grep -vE '^(tables .* this node|[0-9]+ objects? of installation .*|No .*|)$' || true)
    else
      rows="inventory: $(reason inventory)"
    fi
    [ -n "$rows" ] || break
    [ $SECONDS -lt $deadline ] || die "vmlet inventory still lists:" "$rows"
    sleep 1
  done
  say "vmlet inventory: empty"
}

# Standalone leaves its tables when it ends, because they guard guests that outlive it. Here no guest does.
remove_tables() { # <installation>
  local family
  for family in inet bridge; do
    if nft list table "$family" "vmlet_$1" > /dev/null 2>&1; then nft delete table "$family" "vmlet_$1"; fi
  done
}

cgroup_mounts() { awk '{for (i = 7; i <= NF; i++) if ($i == "-") {if ($(i + 1) ~ /^cgroup2?$/) print $5; break}}' /proc/self/mountinfo; }

cgroups_of() { # <installation>
  # A busy host takes away groups of others while find looks at them, which it calls a failure.
  local mount
  for mount in $(cgroup_mounts); do
    find "$mount" -mindepth 1 -depth -type d \( -path "*/vmlet-$1" -o -path "*/vmlet-$1/*" -o -path "*/vmlet-$1.slice" -o -path "*/vmlet-$1.slice/*" \) 2> /dev/null || true
  done
}

remove_cgroups() { # <installation>
  local group
  # Deepest first; one that still holds a process refuses, and leftovers tells.
  cgroups_of "$1" | while read -r group; do rmdir "$group" 2> /dev/null || true; done
}

# leftovers <installation, or empty>: looks at the host with its own tools, and fails if there is anything.
leftovers() {
  local found=() line links tables cgroups processes mounts
  links=$([ -z "$1" ] || ip -d link show | grep -F "alias vmlet:$1:" || true)
  tables=$([ -z "$1" ] || nft list tables | grep -F "vmlet_$1" || true)
  cgroups=$([ -z "$1" ] || cgroups_of "$1")
  processes=$(processes_of "$1")
  mounts=$(awk -v a="$dir/" -v b="$run_dir/" 'index($5, a) == 1 || index($5, b) == 1 {print $5}' /proc/self/mountinfo)
  for line in "$links" "$tables" "$cgroups" "$processes" "$mounts"; do [ -z "$line" ] || found+=("$line"); done
  if [ ${#found[@]} -gt 0 ]; then die "left on this host:" "${found[@]}" "The records in $dir are kept; run the same command again."; fi
  say "links, firewall tables, cgroups, processes, mounts: none left"
}

# Of our cgroups, or with one of our directories on the command line; but not this script and what it runs.
processes_of() { # <installation, or empty>
  local entry pid command
  for entry in /proc/[0-9]*; do
    pid=${entry#/proc/}
    [ "$(ps_session "$pid")" != "$(ps_session $$)" ] || continue
    command=$(tr '\0' ' ' < "$entry/cmdline" 2> /dev/null) || continue
    if { [ -n "$1" ] && grep -q "/vmlet-$1" "$entry/cgroup" 2> /dev/null; } || [[ $command == *"$dir/"* || $command == *"$run_dir/"* ]]; then
      echo "process $pid: $command"
    fi
  done
}

ps_session() { # <pid>
  local stat
  stat=$(cat "/proc/$1/stat" 2> /dev/null) || return 0
  read -r -a stat <<< "${stat##*) }"
  echo "${stat[3]}"
}
