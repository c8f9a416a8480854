#!/bin/sh
# two_hosts.sh MPIEXEC PROGRAM: a run shared between two hosts, which are two Linux network
# namespaces joined by a cable of their own; then the cable is pulled. Skipped (77) where namespaces
# cannot be made.
set -u
mpiexec=$1
program=$(realpath "$2")

skip() {
  echo "skipped: $1"
  exit 77
}
[ "$(id -u)" -eq 0 ] || skip "making network namespaces needs root"
command -v ip >/dev/null || skip "making network namespaces needs ip; install iproute2"
command -v unshare >/dev/null || skip "giving hosts names needs unshare; install util-linux"
"$mpiexec" --version 2>/dev/null | grep -Eq "Open MPI|OpenRTE" || skip "the options below are Open MPI's"

here=zo_a_$$
there=zo_b_$$
work=$(mktemp -d)
clean_up() {
  for host in "$here" "$there"; do
    ip netns pids "$host" 2>/dev/null | xargs -r kill -9 2>/dev/null
    ip netns del "$host" 2>/dev/null
  done
  rm -rf "$work"
}
trap clean_up EXIT

{ ip netns add "$here" && ip netns add "$there"; } 2>/dev/null ||
  skip "this system lets nobody make network namespaces"
ip link add zo0 netns "$here" type veth peer name zo0 netns "$there" 2>/dev/null ||
  skip "this system has no veth devices"
ip -n "$here" addr add 10.97.53.1/24 dev zo0
ip -n "$there" addr add 10.97.53.2/24 dev zo0
for host in "$here" "$there"; do
  ip -n "$host" link set lo up
  ip -n "$host" link set zo0 up
done
unshare --uts true 2>/dev/null || skip "this system lets nobody name hosts"

# Instead of ssh: agent ADDRESS COMMAND …
cat >"$work/agent" <<END
#!/bin/sh
shift
exec ip netns exec $there unshare --uts sh -c "hostname zo-b; \$*"
END
chmod +x "$work/agent"
printf '10.97.53.1 slots=1\n10.97.53.2 slots=1\n' >"$work/hosts"

# run "MPI OPTIONS" [ARGUMENT]: the program, one process on each host.
run() {
  options=$1
  shift
  # shellcheck disable=SC2086 # options are words
  exec timeout -k 5 60 ip netns exec "$here" unshare --uts sh -c 'hostname zo-a; exec "$@"' sh \
    "$mpiexec" -n 2 --map-by node --hostfile "$work/hosts" --mca plm rsh \
    --mca plm_rsh_agent "$work/agent" --mca oob_tcp_if_include 10.97.53.0/24 --mca pml ob1 \
    --mca btl tcp,self --mca btl_tcp_if_include 10.97.53.0/24 $options "$program" "$@"
}

fail() {
  echo "$1"
  cat "$work/out"
  exit 1
}

# processes: how many of the program are left, on both hosts.
processes() {
  for pid in $(ip netns pids "$here") $(ip netns pids "$there"); do
    [ "$(readlink "/proc/$pid/exe")" = "$program" ] && echo "$pid"
  done | wc -l
}

# within SECONDS COMMAND …: waits until it succeeds.
within() {
  tries=$((10 * $1))
  shift
  until "$@"; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || return 1
    sleep 0.1
  done
}

says() { grep -q "$1" "$work/out"; }
all_gone() { [ "$(processes)" -eq 0 ]; }

# pull "MPI OPTIONS": starts a run that never ends, and pulls the cable when it has begun.
pull() {
  ip -n "$here" link set zo0 up
  : >"$work/out"
  (run "$1" for_ever) >>"$work/out" 2>&1 &
  job=$!
  within 30 says "^2 hosts, the same bits$" || fail "the run on two hosts does not begin"
  sleep 0.5
  ip -n "$here" link set zo0 down
}

(run "") >"$work/out" 2>&1 || fail "two hosts: exit $?"
says "^2 hosts, the same bits$" || fail "two hosts:"

# The processes end by their time limit, whatever mpirun notices.
pull ""
within 30 says "^zo::mpi: rank 0 has waited 2 seconds for rank 1; it is stuck or gone" ||
  fail "a pulled cable: rank 0 does not give up"
within 30 all_gone || fail "a pulled cable: processes are left"
kill "$job" 2>/dev/null
for host in "$here" "$there"; do
  ip netns pids "$host" | xargs -r kill -9 2>/dev/null
done
wait "$job" 2>/dev/null

# With the options of docs/mpi.md mpirun notices, too, and ends.
pull "--mca oob_tcp_keepalive_time 1 --mca oob_tcp_keepalive_intvl 1 --mca oob_tcp_keepalive_probes 2"
wait "$job"
status=$?
case $status in 0 | 124 | 137) fail "a pulled cable: mpirun ends with $status" ;; esac
exit 0
