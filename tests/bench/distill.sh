#!/usr/bin/env bash
# ./dev bench distill [--pair demo|base-small|large-small] [--arms N] [OPTIONS]: the trainer beside a plain PyTorch loop over
# Hugging Face's T5; with --arms, N arms of one job beside N jobs. See README.md.
#
# The peer lives in a throw-away virtual environment (some 6 GB on disk) made from distill_requirements.lock, or where
# PETIT_BENCH_PYTHON says: a Python that has those packages.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

bin=${PETIT_BENCH_BIN:-build/release/bin}/petit_distill_bench
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

pair=demo arms='' rest=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --pair) pair=$2; shift 2 ;;
    --arms) arms=$2; shift 2 ;;
    *) rest+=("$1"); shift ;;
  esac
done

teacher=deploy/demo/models/teacher student=deploy/demo/models/student
if [[ $pair != demo ]]; then
  for shape in "${pair%-*}" "${pair#*-}"; do
    "$bin" --student deploy/demo/models/student --make "$work/$shape" --shape "$shape"
  done
  teacher=$work/${pair%-*} student=$work/${pair#*-}
fi
common=(--teacher "$teacher" --student "$student" --texts tests/data/parity/sentences.tsv)

printf 'Hardware: %s, %s cores, load %s. Instruction set: %s. Models: %s.\n' \
  "$(sed -n 's/^model name\s*: //p' /proc/cpuinfo | head -n 1)" "$(nproc)" "$(cut -d' ' -f1 /proc/loadavg)" \
  "$(grep -o -w -E 'avx512_bf16|avx512_vnni|avx512f|avx2' /proc/cpuinfo | sort -u | xargs)" \
  "$([[ $pair == demo ]] && echo "the demo's teacher and student" || echo "random weights, flan-T5 ${pair%-*} -> ${pair#*-}")"
printf 'Command: ./dev bench distill --pair %s%s %s\n\n' "$pair" "${arms:+ --arms $arms}" "${rest[*]}"

if [[ -n $arms ]]; then
  "$bin" "${common[@]}" --arms "$arms" "${rest[@]}"
  exit
fi
python=${PETIT_BENCH_PYTHON:-}
if [[ -z $python ]]; then
  echo "distill.sh: installing the peer into a throw-away virtual environment" >&2
  /usr/bin/python3 -m venv "$work/peer"
  "$work/peer/bin/pip" install -q --disable-pip-version-check --no-cache-dir --no-deps --require-hashes \
    --only-binary=:all: -r tests/bench/distill_requirements.lock
  python=$work/peer/bin/python
fi
HF_HUB_OFFLINE=1 "$python" tests/bench/distill_bench.py --binary "$bin" "${common[@]}" --ids "$work/ids.jsonl" "${rest[@]}"
