#!/usr/bin/env bash
# Runs every test: installs what they need (Debian's chromium, the npm clients), builds, and prints "N passed, N failed" last.
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

install_debian() { # command, package
  command -v "$1" >/dev/null 2>&1 && return 0
  say "Installing $2"
  if [ "$(id -u)" = 0 ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$2" >/dev/null
  else sudo apt-get update -qq && sudo DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$2" >/dev/null; fi
}
install_debian chromium chromium || { echo "test.sh: chromium could not be installed" >&2; exit 1; }

clients=tests/Fairlead.FunctionalTests/Clients/node
if [ -f "$clients/package.json" ]; then
  say "Installing the npm clients"
  # The package `node` brings the Node.js that the newest clients want, whatever the machine has.
  (cd "$clients" && npm ci --no-audit --no-fund --loglevel=error) || { echo "test.sh: the npm clients could not be installed" >&2; exit 1; }
fi

say "Building"
dotnet build Fairlead.slnx -c Release --nologo -v quiet || { echo "0 passed, 1 failed"; exit 1; }

passed=0 failed=0 skipped=0
for project in Fairlead.Tests Fairlead.FunctionalTests; do
  say "$project"
  log=$(mktemp)
  dotnet run --no-build -c Release --project "tests/$project" -- -noColor 2>&1 | tee "$log"
  code=${PIPESTATUS[0]}
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
