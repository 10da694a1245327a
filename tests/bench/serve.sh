#!/usr/bin/env bash
# ./dev bench serve: the demo's models under 1, 8 and 32 streams, with continuous batching, static batching and one
# sentence at a time; one server, the same threads, in turn. Options go to petit_serve_bench (--seconds, --rounds).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

bin=build/release/bin
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$work"' EXIT

models=()
{
  printf 'listen: "127.0.0.1:0"\nlog_level: LOG_LEVEL_WARNING\n'
  while read -r name checkpoint precision; do
    while read -r variant mode; do
      models+=(--model "$name${variant#continuous}")
      printf 'model { name: "%s" checkpoint: "%s" precision: %s threads: %s batching { mode: %s max_rows: 32 }\n' \
        "$name${variant#continuous}" "$PWD/deploy/demo/models/$checkpoint" "$precision" "$(nproc)" "$mode"
      printf '  prompt { source: "en" target: "fr" prefix: "translate English to French: " } }\n'
    done <<<$'continuous CONTINUOUS\n-static STATIC\n-single ONE_AT_A_TIME'
  done <<<$'teacher teacher FP32\nstudent student FP32\nteacher-int8 teacher INT8'
} >"$work/petit.textproto"

mkfifo "$work/out"
"$bin/petit-server" --config "$work/petit.textproto" >"$work/out" &
exec {out}<"$work/out"
address=
while read -r line <&"$out"; do
  case $line in "listening on "*) address=${line#listening on }; break ;; esac
done
[[ -n $address ]] || { echo "serve.sh: the server did not start" >&2; exit 1; }

texts=tests/data/parity/sentences.tsv
printf 'Hardware: %s, %s cores. Threads: %s (LibTorch), client on the same machine. Texts: %s sentences of %s, greedy.\n' \
  "$(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" "$(nproc)" "$(wc -l <$texts)" "$texts"
printf 'Instruction set: %s. Command: ./dev bench serve %s\n\n' \
  "$(grep -o -w -E 'avx512_bf16|avx512_vnni|avx512f|avx2' /proc/cpuinfo | sort -u | tr '\n' ' ')" "$*"
"$bin/petit_serve_bench" --server "$address" --texts "$texts" "${models[@]}" "$@"
