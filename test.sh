#!/usr/bin/env bash
# Runs every test: installs what they need (Debian's chromium, postgresql and redis-server, the npm clients), starts a private PostgreSQL, builds, and prints "N passed, N failed" last.
#   ./test.sh          everything that a change must pass, under 20 minutes
#   ./test.sh --full   the long rounds too (more kills, more generated input)
set -uo pipefail
cd "$(dirname "$0")"

export FAIRLEAD_TEST_FULL=0
for argument in "$@"; do
  case "$argument" in
    --full) export FAIRLEAD_TEST_FULL=1 ;;
    -h|--help) sed -n '2,4p' "$0"; exit 0 ;;
    *) echo "test.sh: unknown argument '$argument'" >&2; exit 2 ;;
  esac
done
export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1

say() { printf '\n== %s\n' "$*"; }

postgres_programs() { # the folder of the newest ones; they are not on the path
  local found
  found=$(ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sort -V | tail -n 1)
  [ -n "$found" ] && dirname "$found"
}

install_debian() { # command, package
  { command -v "$1" || { [ "$2" = postgresql ] && postgres_programs; }; } >/dev/null 2>&1 && return 0
  say "Installing $2"
  if [ "$(id -u)" = 0 ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$2" >/dev/null
  else sudo apt-get update -qq && sudo DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$2" >/dev/null; fi
}
install_debian chromium chromium || { echo "test.sh: chromium could not be installed" >&2; exit 1; }

install_debian initdb postgresql || { echo "test.sh: postgresql could not be installed" >&2; exit 1; }

# Tests start servers of their own, on free ports and without files. The one that the package may start beside them, on its own port, is not used.
install_debian redis-server redis-server
command -v redis-server >/dev/null || { echo "test.sh: redis-server could not be installed" >&2; exit 1; }

# A PostgreSQL for this run alone: in a temporary folder, on a free port of the loopback address, gone at the end. It refuses to run as root.
postgres_bin=$(postgres_programs) || { echo "test.sh: the programs of postgresql were not found" >&2; exit 1; }
postgres_home=$(mktemp -d) postgres_pid=
as_postgres=() # an array and no function, so that what runs in the background is PostgreSQL itself
[ "$(id -u)" = 0 ] && as_postgres=(setpriv --reuid=postgres --regid=postgres --clear-groups)
stop_postgres() {
  # Fast shutdown: connections are cut, files written. The folder is nobody's business any more.
  [ -n "$postgres_pid" ] && kill -INT "$postgres_pid" 2>/dev/null && wait "$postgres_pid" 2>/dev/null
  rm -rf "$postgres_home"
}
trap stop_postgres EXIT
trap 'exit 130' INT TERM
start_postgres() {
  local password=fairlead-tests port attempt
  printf '%s' "$password" >"$postgres_home/password"
  if [ "$(id -u)" = 0 ]; then chown -R postgres: "$postgres_home" || return 1; fi
  (cd "$postgres_home" && "${as_postgres[@]}" "$postgres_bin/initdb" -D "$postgres_home/data" -U fairlead --pwfile "$postgres_home/password" --auth=scram-sha-256 -E UTF8 --locale=C --no-sync >/dev/null) || return 1
  for attempt in 1 2 3 4 5; do
    port=$((20000 + RANDOM % 12000))
    # Nothing of it has to outlive the machine: it need not wait for the disk.
    cd "$postgres_home" || return 1
    "${as_postgres[@]}" "$postgres_bin/postgres" -D "$postgres_home/data" -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
      -c fsync=off -c full_page_writes=off -c max_connections=300 >"$postgres_home/log" 2>&1 &
    postgres_pid=$!
    cd "$OLDPWD" || return 1
    for _ in $(seq 120); do
      kill -0 "$postgres_pid" 2>/dev/null || break
      if grep -q 'ready to accept connections' "$postgres_home/log"; then
        export FAIRLEAD_TEST_POSTGRES="Host=127.0.0.1;Port=$port;Username=fairlead;Password=$password;Database=postgres"
        return 0
      fi
      sleep 0.5
    done
    # Most likely another program has the port.
    kill -INT "$postgres_pid" 2>/dev/null
    wait "$postgres_pid" 2>/dev/null
    postgres_pid=
  done
  cat "$postgres_home/log" >&2
  return 1
}
say "Starting a private PostgreSQL"
start_postgres || { echo "test.sh: PostgreSQL could not be started" >&2; exit 1; }

clients=tests/Fairlead.FunctionalTests/Clients/node
if [ -f "$clients/package.json" ]; then
  say "Installing the npm clients"
  # The package `node` brings the Node.js that the newest clients want, whatever the machine has.
  (cd "$clients" && npm ci --no-audit --no-fund --loglevel=error) || { echo "test.sh: the npm clients could not be installed" >&2; exit 1; }
fi

say "Building"
dotnet build Fairlead.slnx -c Release --nologo -v quiet || { echo "0 passed, 1 failed"; exit 1; }

# A test that hangs is named after two minutes. A suite that has not ended after its longest time is stopped, and run once more.
longest=35m
[ "$FAIRLEAD_TEST_FULL" = 1 ] && longest=3h
run_suite() { # project, log
  timeout --kill-after=30s "$longest" dotnet run --no-build -c Release --project "tests/$1" -- -noColor -longRunning 120 </dev/null 2>&1 | tee "$2"
  return "${PIPESTATUS[0]}"
}

passed=0 failed=0 skipped=0
for project in Fairlead.Tests Fairlead.FunctionalTests; do
  say "$project"
  log=$(mktemp)
  run_suite "$project" "$log"
  code=$?
  if [ "$code" -eq 124 ] || [ "$code" -eq 137 ]; then
    say "$project did not end within $longest and is run again; the long running tests above may hang"
    run_suite "$project" "$log"
    code=$?
  fi
  line=$(grep -E 'Total: [0-9]+, Errors: [0-9]+, Failed: [0-9]+' "$log" | tail -n 1)
  rm -f "$log"
  if [ -z "$line" ]; then
    echo "test.sh: $project ended with code $code and without a summary" >&2
    failed=$((failed + 1))
    continue
  fi
  number() { sed -nE "s/.*$1: ([0-9]+).*/\1/p" <<<"$line"; }
  bad=$(( $(number Errors) + $(number Failed) ))
  skip=$(number Skipped)
  passed=$(( passed + $(number Total) - bad - skip ))
  failed=$(( failed + bad ))
  skipped=$(( skipped + skip ))
  [ "$code" -ne 0 ] && [ "$bad" -eq 0 ] && failed=$((failed + 1))
done

echo
if [ "$skipped" -gt 0 ]; then echo "$passed passed, $failed failed, $skipped skipped"; else echo "$passed passed, $failed failed"; fi
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
