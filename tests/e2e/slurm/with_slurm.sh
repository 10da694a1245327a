#!/usr/bin/env bash
# with_slurm.sh COMMAND [ARGUMENT...]: runs a command beside a real Slurm of its own, one controller and one node on the
# loopback interface as the present user, and takes it down again. SLURM_CONF tells the command's Slurm where it is;
# PETIT_TEST_SLURM is its directory, with the daemons' logs. Exit status: the command's; 77 where Slurm is not installed.
set -euo pipefail

readonly NODE_CPUS=8 NODE_MEMORY_MB=4096  # what the node pretends to have

PATH=$PATH:/usr/sbin:/sbin
for program in slurmctld slurmd sbatch squeue scontrol scancel srun; do
  if ! command -v "$program" >/dev/null; then
    printf 'skipped: no %s here; Debian has it in slurmctld, slurmd and slurm-client\n' "$program" >&2
    exit 77
  fi
done

directory=$(mktemp -d)
readonly directory
controller='' node='' command=''

stop_daemon() {  # PID
  [[ -n $1 ]] || return 0
  kill -TERM "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

finish() {
  [[ -z $command ]] || kill -TERM "$command" 2>/dev/null || true
  scancel --user="$(id -u)" --signal=KILL --full >/dev/null 2>&1 || true
  stop_daemon "$node"
  stop_daemon "$controller"
  rm -rf "$directory"
}

# Two ports that nobody listens on. Slurm wants numbers; another process may take one before Slurm has it.
free_ports() {
  python3 - <<'PYTHON'
import socket
sockets = [socket.socket() for _ in range(2)]
for s in sockets:
    s.bind(("127.0.0.1", 0))
print(*(s.getsockname()[1] for s in sockets))
PYTHON
}

write_configuration() {
  local ports user host
  read -ra ports < <(free_ports)
  user=$(id -un)
  host=$(uname -n)
  host=${host%%.*}
  cat >"$directory/slurm.conf" <<CONF
ClusterName=petit
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmdPort=${ports[1]}
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/none
CredType=cred/none
StateSaveLocation=$directory/state
SlurmdSpoolDir=$directory/spool
SlurmctldPidFile=$directory/slurmctld.pid
SlurmdPidFile=$directory/slurmd.pid
SlurmctldLogFile=$directory/slurmctld.log
SlurmdLogFile=$directory/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=200
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
# Memory is what a task's processes use, looked at every second; more than was asked for ends the job.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
KillWait=30
NodeName=$host NodeAddr=127.0.0.1 CPUs=$NODE_CPUS RealMemory=$NODE_MEMORY_MB State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
  printf 'CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n' >"$directory/cgroup.conf"
}

# True once the node takes jobs; false as soon as a daemon has ended.
node_is_up() {
  local deadline=$((SECONDS + 60))
  while ((SECONDS < deadline)); do
    kill -0 "$controller" 2>/dev/null && kill -0 "$node" 2>/dev/null || return 1
    [[ $(sinfo --noheader --format=%T 2>/dev/null) == idle ]] && return 0
    sleep 0.1
  done
  return 1
}

start() {
  mkdir -p "$directory/state" "$directory/spool"
  write_configuration
  # They go when this script is killed, too.
  setpriv --pdeathsig KILL slurmctld -D -c >"$directory/slurmctld.out" 2>&1 &
  controller=$!
  setpriv --pdeathsig KILL slurmd -D >"$directory/slurmd.out" 2>&1 &
  node=$!
  node_is_up && return 0
  stop_daemon "$node"
  stop_daemon "$controller"
  return 1
}

trap finish EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
export SLURM_CONF=$directory/slurm.conf PETIT_TEST_SLURM=$directory
for attempt in 1 2 3; do
  start && break
  if ((attempt == 3)); then
    tail -n 20 "$directory"/*.log "$directory"/*.out >&2 || true
    printf 'Slurm did not start\n' >&2
    exit 1
  fi
done
"$@" <&0 &
command=$!
wait "$command"
