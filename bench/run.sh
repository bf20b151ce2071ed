#!/usr/bin/env bash
# Measures Fairlead beside bare YARP and a direct call. Everything it starts, it ends; all traffic is on loopback.
# Usage: bench/run.sh [--seconds 8] [--rounds 3] [--streams 1000] [--out FILE]
set -euo pipefail
cd "$(dirname "$0")/.."
dotnet publish src/Fairlead.Server -c Release -o artifacts/bench/server -v q --nologo
dotnet publish bench/Fairlead.Benchmarks -c Release -o artifacts/bench/load -v q --nologo
exec artifacts/bench/load/Fairlead.Benchmarks run --server artifacts/bench/server/Fairlead.Server.dll "$@"
