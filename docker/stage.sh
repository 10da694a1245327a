#!/usr/bin/env bash
# stage.sh cpu|cuda DIRECTORY: what the image holds beyond Debian's packages, below DIRECTORY as it lies in the image.
# The release build and ./dev deps [--cuda] come first. LibTorch is reduced to the libraries that are loaded.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly VARIANT=$1 STAGE=$2 SITE=.deps/site
readonly PREFIX=$STAGE/opt/petit
readonly CPU_LIBRARIES=(torch/lib/libc10.so torch/lib/libgomp.so.1 torch/lib/libtorch_cpu.so
  nvidia/cu13/lib/libcudart.so.13 nvidia/cu13/lib/libcupti.so.13)  # libtorch_cpu.so needs the last two, GPU or not

case $VARIANT in cpu | cuda) ;; *) printf 'stage.sh: no variant "%s"; there are: cpu, cuda\n' "$VARIANT" >&2; exit 2 ;; esac
command -v patchelf >/dev/null || { printf 'stage.sh: needs patchelf, which Debian has\n' >&2; exit 2; }

install -d "$PREFIX/bin" "$PREFIX/lib"
for program in petit petit-server petit-worker; do
  install -s "build/release/bin/$program" "$PREFIX/bin/$program"
  # shellcheck disable=SC2016  # $ORIGIN is the loader's
  patchelf --set-rpath '$ORIGIN/../lib:$ORIGIN/../lib/torch/lib' "$PREFIX/bin/$program"
done
install build/release/lib/libpetit_tokenizer.so "$PREFIX/lib/"
patchelf --remove-rpath "$PREFIX/lib/libpetit_tokenizer.so"

# LibTorch's libraries find each other by their places below SITE, which stay.
if [[ $VARIANT == cpu ]]; then
  for library in "${CPU_LIBRARIES[@]}"; do
    install -D "$SITE/$library" "$PREFIX/lib/$library"
  done
else
  (cd "$SITE" && find torch/lib nvidia -name '*.so*' ! -path '*/libshm*') | while read -r library; do
    install -D "$SITE/$library" "$PREFIX/lib/$library"
  done
fi
install -D -m 644 LICENSE "$STAGE/usr/share/doc/petit/LICENSE"
