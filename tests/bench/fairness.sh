#!/usr/bin/env bash
# What a flooding client does to a polite one: tests/bench/fairness.sh [SECONDS] [BIN] [RATE]. One server, the demo's
# teacher with room for 32 rows and a queue of 64; the polite client sends RATE texts a second (6), whatever comes back
# (open loop, Poisson). Its latency in turn:
#   alone       nobody else is there (once more after the flood, since machines change their speed)
#   equal load  another client keeps 28 texts in flight: the replica decodes as much as in a flood, and nobody queues
#   flood       another client keeps 256 texts in flight over streams, refills at once, and so keeps the queue full
#   as one      the flood comes under the polite client's own token: what it is without turns
#   not held    the flood again, on a server with batching { max_hold_back: 1 }: each step is shared with a full batch
# The figure to look at is flood / alone, of the mean of both.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=${1:-40}
bin=${2:-build/release/bin}
rate=${3:-6}
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT

for name in polite other; do
  "$bin/petit" token new --name "$name" --role TRANSLATE --out "$work/$name.token" >>"$work/clients.textproto"
done
server=
serve() {  # MORE_BATCHING
  [[ -z $server ]] || { kill "$server"; wait "$server" || true; }
  cat >"$work/petit.textproto" <<END
listen: "127.0.0.1:0"
log_level: LOG_LEVEL_WARNING
auth { clients_file: "clients.textproto" }
model { name: "teacher" checkpoint: "$PWD/deploy/demo/models/teacher"
  batching { max_rows: 32 max_queue_length: 64 $1 }
  prompt { source: "en" target: "fr" prefix: "translate English to French: " } }
END
  rm -f "$work/out"
  mkfifo "$work/out"
  "$bin/petit-server" --config "$work/petit.textproto" >"$work/out" &
  server=$!
  local out line address=
  exec {out}<"$work/out"
  while read -r line <&"$out"; do
    case $line in "listening on "*) address=${line#listening on }; break ;; esac
  done
  [[ -n $address ]] || { echo "fairness.sh: the server did not start" >&2; exit 1; }
  export PETIT_SERVER=$address
}

load() {  # TOKEN OPTIONS...
  "$bin/petit" load --quiet --model teacher --texts tests/data/parity/sentences.tsv --token-file "$work/$1.token" "${@:2}"
}

# case NAME [TOKEN STREAMS]: the polite client's figures while the other one loads the server.
case_() {
  local other=
  if [[ $# -gt 1 ]]; then
    load "$2" --stream --streams "$3" --duration "$((seconds + 12))s" --json "$work/$1.other.json" >/dev/null &
    other=$!
  fi
  load polite --rate "$rate" --warmup 5s --duration "${seconds}s" --timeout 600 --json "$work/$1.json" >/dev/null || true
  if [[ -n $other ]]; then wait "$other" || true; fi
}

printf 'Hardware: %s, %s cores; clients on the same machine. %s s each, %s texts/s.\n\n' \
  "$(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" "$seconds" "$rate"
serve ""
case_ alone
case_ equal-load other 28
case_ flood other 256
case_ alone-again
case_ as-one polite 256
serve "max_hold_back: 1"
case_ not-held other 256

python3 - "$work" <<'END'
import json, pathlib, sys
def figures(name):
    path = pathlib.Path(sys.argv[1]) / f"{name}.json"
    return json.loads(path.read_text())["phases"][0]["figures"][0] if path.exists() else None
print("| polite client | answered | refused | p50 ms | p99 ms | the other's texts/s |\n|---|---|---|---|---|---|")
p99 = {}
for case in ("alone", "equal-load", "flood", "alone-again", "as-one", "not-held"):
    mine, other = figures(case), figures(f"{case}.other")
    p50, p99[case] = (mine["latency"][q] * 1000 for q in ("p50", "p99"))
    rate = f"{other['texts_per_second']:.0f}" if other else "-"
    print(f"| {case} | {mine['answered']} | {mine['failed']} | {p50:.0f} | {p99[case]:.0f} | {rate} |")
alone = (p99["alone"] + p99["alone-again"]) / 2
print("\np99 / alone: " + ", ".join(f"{case} {p99[case] / alone:.2f}" for case in p99))
END
