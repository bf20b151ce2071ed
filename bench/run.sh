#!/usr/bin/env bash
# Compares Fairlead with bare YARP and a direct call. Stops every process that it starts; all traffic is on loopback.
# Usage: bench/run.sh [--seconds 8] [--rounds 3] [--streams 1000] [--starts 7] [--only start|jobs|chat|batching|limits|limit-stores|policies|cache] [--beside DLL] [--out FILE]
set -euo pipefail
cd "$(dirname "$0")/.."
# Compiled ahead of time for this machine, as docs/operating.md recommends.
rid=$(dotnet --info | awk '/ RID:/ { print $2; exit }')
dotnet publish src/Fairlead.Server -c Release -r "$rid" --self-contained false -o artifacts/bench/server -v q --nologo
dotnet publish bench/Fairlead.Benchmarks -c Release -o artifacts/bench/load -v q --nologo
exec artifacts/bench/load/Fairlead.Benchmarks run --server artifacts/bench/server/Fairlead.Server.dll "$@"
