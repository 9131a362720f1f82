# Shared by up and down. A process is recorded as "<pid> <start time>" (field 22
# of /proc/<pid>/stat): a pid alone may by now belong to somebody else.

start_time() { # <pid>
  # The command in parentheses may hold blanks; count from behind it.
  local stat
  stat=$(cat "/proc/$1/stat" 2> /dev/null) || return 1
  read -r -a stat <<< "${stat##*) }"
  [ "${stat[0]}" != Z ] || return 1
  echo "${stat[19]}"
}

alive() { # <record>
  local pid start
  [ -s "$1" ] && read -r pid start < "$1" && [ "$(start_time "$pid")" = "$start" ]
}

record() { # <pid> <record>
  echo "$1 $(start_time "$1")" > "$2"
}

# stop <record> <seconds>: asks, waits, insists.
stop() {
  local pid deadline=$((SECONDS + $2))
  if alive "$1"; then
    read -r pid _ < "$1"
    kill -TERM "$pid"
    while alive "$1" && [ $SECONDS -lt $deadline ]; do sleep 0.1; done
    if alive "$1"; then
      echo "${0##*/}: ${1##*/} did not end within $2 s, killing it" >&2
      kill -KILL "$pid"
      while alive "$1"; do sleep 0.1; done
    fi
  fi
  rm -f "$1"
}
