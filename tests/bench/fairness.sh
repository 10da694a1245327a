#!/usr/bin/env bash
# What a flooding client does to a polite one: tests/bench/fairness.sh [SECONDS] [BIN] [RATE] [ROUNDS] [REPLICAS].
# Two servers, each with the demo's teacher in REPLICAS (1) replicas, room for 32 rows and a queue of 64 in each; the polite
# client sends RATE texts a second (6), whatever comes back (open loop, Poisson). Its latency in turn, SECONDS (15) each, ROUNDS (4) times over, since machines change
# their speed; the table has the medians of the rounds:
#   alone       nobody else is there
#   equal load  another client keeps 28 texts in flight: the replica decodes as much as in a flood, and nobody queues
#   flood       another client keeps 256 texts in flight over streams, refills at once, and so keeps the queue full
#   as one      the flood comes under the polite client's own token: what it is without turns
#   not held    the flood again, on the server with batching { max_hold_back: 1 }: each step is shared with a full batch
# The figure to look at is flood / alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seconds=${1:-15}
bin=${2:-build/release/bin}
rate=${3:-6}
rounds=${4:-4}
replicas=${5:-1}
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT

for name in polite other; do
  "$bin/petit" token new --name "$name" --role TRANSLATE --out "$work/$name.token" >>"$work/clients.textproto"
done
serve() {  # MORE_BATCHING; leaves the address in PETIT_SERVER
  cat >"$work/petit.textproto" <<END
listen: "127.0.0.1:0"
log_level: LOG_LEVEL_WARNING
auth { clients_file: "clients.textproto" }
model { name: "teacher" checkpoint: "$PWD/deploy/demo/models/teacher"
  replicas: $replicas batching { max_rows: 32 max_queue_length: 64 $1 }
  prompt { source: "en" target: "fr" prefix: "translate English to French: " } }
END
  rm -f "$work/out"
  mkfifo "$work/out"
  "$bin/petit-server" --config "$work/petit.textproto" >"$work/out" &
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

# case NAME [TOKEN STREAMS]: the polite client's figures of this round while the other one loads the server.
case_() {
  local other=
  if [[ $# -gt 1 ]]; then
    load "$2" --stream --streams "$3" --duration "$((seconds + 4))s" --json "$work/$1.$round.other.json" >/dev/null &
    other=$!
  fi
  load polite --rate "$rate" --warmup 3s --duration "${seconds}s" --timeout 600 --json "$work/$1.$round.json" >/dev/null || true
  if [[ -n $other ]]; then wait "$other" || true; fi
}

printf 'Hardware: %s, %s cores; clients on the same machine. %s rounds of %s s each, %s texts/s.\n\n' \
  "$(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" "$rounds" "$seconds" "$rate"
serve "max_hold_back: 1"
not_holding=$PETIT_SERVER
serve ""
for ((round = 0; round < rounds; ++round)); do
  case_ alone
  case_ equal-load other 28
  case_ flood other 256
  case_ as-one polite 256
  PETIT_SERVER=$not_holding case_ not-held other 256
done

python3 - "$work" "$rounds" <<'END'
import json, pathlib, statistics, sys
def figures(name):
    path = pathlib.Path(sys.argv[1]) / f"{name}.json"
    return json.loads(path.read_text())["phases"][0]["figures"][0] if path.exists() else None
print("| polite client | answered | refused | p50 ms | p99 ms | p99 / alone | the other's texts/s |\n|---|---|---|---|---|---|---|")
rounds = range(int(sys.argv[2]))
alone = [figures(f"alone.{round}")["latency"]["p99"] for round in rounds]
for case in ("alone", "equal-load", "flood", "as-one", "not-held"):
    mine = [figures(f"{case}.{round}") for round in rounds]
    others = [figures(f"{case}.{round}.other") for round in rounds]
    p50, p99 = (statistics.median(one["latency"][q] * 1000 for one in mine) for q in ("p50", "p99"))
    ratio = statistics.median(one["latency"]["p99"] / base for one, base in zip(mine, alone))
    rate = f"{statistics.median(other['texts_per_second'] for other in others):.0f}" if others[0] else "-"
    print(f"| {case} | {sum(one['answered'] for one in mine)} | {sum(one['failed'] for one in mine)} | {p50:.0f} | {p99:.0f} "
          f"| {ratio:.2f} | {rate} |")
END
