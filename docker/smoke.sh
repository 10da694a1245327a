#!/usr/bin/env bash
# smoke.sh [DIRECTORY]: builds the image's runtime stage without Docker, by running the steps that the Dockerfile has
# in a root file system of debootstrap's, and starts the server there as the image would: as its user, without
# capabilities, with nothing writable but the volume. The build stage's part is what ./dev build made here.
# Needs root, debootstrap, patchelf, iproute2 and the network for Debian's packages. The root file system is made below
# DIRECTORY and kept; without one it is made below a temporary directory and removed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly DOCKERFILE=docker/Dockerfile
readonly TEXT="This package contains the documentation." EXPECTED="Ce paquet fournit la documentation."

say() { printf '[smoke] %s\n' "$*" >&2; }
die() { printf '[smoke] error: %s\n' "$*" >&2; exit 1; }

# The runtime stage's instructions, one a line.
instructions() { sed -e '/^#/d' -e ':a;/\\$/{N;s/\\\n *//;ba}' "$DOCKERFILE" | sed -n '/ AS runtime$/,$p'; }
# The rest of the stage's last instruction of this name.
instruction() { instructions | sed -n "s/^$1 //p" | tail -n 1; }
# The words of a JSON array, each ended by a NUL.
words() { python3 -c 'import json, sys; print(*json.loads(sys.argv[1]), sep="\0", end="\0")' "$1"; }

make_root() {  # ROOT STAGE
  local root=$1 stage=$2 release line
  release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
  [[ $(instruction FROM) == debian:12* && $release == bookworm ]] || die "the image is Debian 12's and this is $release"
  say "debootstrap $release"
  debootstrap --variant=minbase "$release" "$root" >"$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; die "debootstrap failed"; }
  # The packages come from where this machine's do.
  cp -r /etc/apt/. "$root/etc/apt/"
  docker/stage.sh cpu "$stage"
  while read -r line; do
    case $line in
      "RUN "*)
        say "${line:0:100}"
        chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive sh -c "${line#RUN }" \
          >>"$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; die "failed: $line"; } ;;
      "COPY --from=build /stage/ /") cp -a "$stage/." "$root/" ;;
      "COPY --from="*) die "smoke.sh does not know this step: $line" ;;
      "COPY "*)
        local from to
        read -r from to <<<"${line#COPY }"
        install -D -m 644 "$from" "$root$to" ;;
    esac
  done < <(instructions)
}

# What comes before a command so that it runs in the image as its user, with its environment; each executes the next.
in_image=()
enter() {  # ROOT
  local environment user
  read -ra environment <<<"$(instruction ENV)"
  user=$(instruction USER)
  in_image=(chroot "$1" env -i "${environment[@]}" setpriv --reuid "${user%:*}" --regid "${user#*:}" --clear-groups
    --inh-caps=-all --bounding-set=-all --no-new-privs)
}

check_files() {
  local found
  # shellcheck disable=SC2016  # for the shell inside
  found=$("${in_image[@]}" sh -c 'for f in /opt/petit/bin/* $(find /opt/petit/lib -name "*.so*"); do ldd "$f"; done' | grep 'not found' || true)
  [[ -z $found ]] || die "libraries are missing: $found"
  for program in cc gcc g++ make python3 perl-config; do
    ! "${in_image[@]}" sh -c "command -v $program" >/dev/null || die "$program has no business in the image"
  done
  found=$("${in_image[@]}" find / -xdev -writable ! -path '/dev/*' ! -path "$(instruction VOLUME)" 2>/dev/null || true)
  [[ -z $found ]] || die "the user may write to: $found"
  "${in_image[@]}" sh -c ': >/var/lib/petit/written && rm /var/lib/petit/written' || die "the volume cannot be written"
  if "${in_image[@]}" sh -c ': >/opt/petit/bin/written' 2>/dev/null; then die "the root file system can be written"; fi
}

# In namespaces of our own, as a container: the ports are free, the root file system is read-only.
inside() {
  local root=$1 user entry command health server started said status
  enter "$1"
  user=$(instruction USER)
  ip link set lo up
  mount --bind "$root" "$root"
  mount -o remount,bind,ro "$root"
  mount -t proc proc "$root/proc"
  mount -t tmpfs -o "uid=${user%:*},gid=${user#*:},mode=755" tmpfs "$root/var/lib/petit"
  for directory in models jobs data; do "${in_image[@]}" mkdir "/var/lib/petit/$directory"; done
  mount --bind deploy/demo/models "$root/models"
  mount -o remount,bind,ro "$root/models"
  check_files
  say "nothing but the volume can be written; every library is there; no compiler is"

  mapfile -d '' -t entry < <(words "$(instruction ENTRYPOINT)")
  mapfile -d '' -t command < <(words "$(instruction CMD)")
  mapfile -d '' -t health < <(words "$(instruction HEALTHCHECK | sed 's/.* CMD //')")
  if "${in_image[@]}" "${health[@]}" >/dev/null 2>&1; then die "the health check passes without a server"; fi
  started=$SECONDS
  exec {out}< <("${in_image[@]}" "${entry[@]}" "${command[@]}" 2>"$root.server.log" & echo $!; wait $! && status=0 || status=$?; echo "ended $status")
  read -r server <&"$out"
  until [[ ${said:=} == "metrics on "* ]]; do
    read -r -t 120 said <&"$out" || die "the server does not start: $(tail -n 20 "$root.server.log")"
    [[ $said != "ended "* ]] || die "the server $said: $(tail -n 20 "$root.server.log")"
  done
  say "ready after $((SECONDS - started)) s: $(grep -E '^(Uid|CapEff|NoNewPrivs)' "/proc/$server/status" | tr '\n\t' '  ')"
  [[ $(awk '/^Uid/ { print $2 }' "/proc/$server/status") == "${user%:*}" ]] || die "the server is not ${user%:*}"
  "${in_image[@]}" "${health[@]}" >/dev/null || die "the health check fails"
  say "the health check passes: ${health[*]}"
  said=$("${in_image[@]}" petit translate --model student --from en --to fr "$TEXT")
  [[ $said == "$EXPECTED" ]] || die "expected \"$EXPECTED\", got \"$said\""
  say "$TEXT -> $said"
  python3 - <<'PYTHON' || die "no metrics"
import urllib.request
text = urllib.request.urlopen("http://127.0.0.1:9464/metrics", timeout=30).read().decode()
assert 'petit_requests_total{code="OK",method="Translate",model="student"} 1' in text, text
PYTHON
  started=$SECONDS
  kill -s "$(instruction STOPSIGNAL)" "$server"
  read -r -t 45 _ status <&"$out" || die "the server does not end within the time that compose.yaml gives it"
  [[ $status == 0 ]] || die "the server ended with $status"
  say "ended with 0, $((SECONDS - started)) s after $(instruction STOPSIGNAL)"
}

main() {
  [[ $(id -u) == 0 ]] || die "needs root, for debootstrap and chroot"
  for program in debootstrap patchelf ip setpriv unshare; do
    command -v "$program" >/dev/null || die "needs $program; Debian has debootstrap, patchelf, iproute2 and util-linux"
  done
  [[ -x build/release/bin/petit-server ]] || die "./dev build comes first"
  directory=${1:-}
  if [[ -z $directory ]]; then
    directory=$(mktemp -d)
    trap 'rm -rf "$directory"' EXIT  # after main's variables have gone: not a local one
  fi
  mkdir -p "$directory/root/models"
  make_root "$directory/root" "$directory/stage"
  say "sizes: $(du -sh "$directory/root" | cut -f1) in all; of these:"
  du -shc "$directory"/stage/opt/petit/* "$directory"/stage/opt/petit/lib/* | sed "s|$directory/stage||" >&2
  unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private \
    "${BASH_SOURCE[0]}" --inside "$directory/root"
  say "good"
}

if [[ ${1:-} == --inside ]]; then inside "$2"; else main "$@"; fi
