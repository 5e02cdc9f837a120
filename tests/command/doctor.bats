#!/usr/bin/env bats
# ayre doctor: each verdict is made to happen, and what is said to mend it does.

bats_require_minimum_version 1.5.0
load topic_support
load container

# finding GROUP/NAME FILTER: of the document in $output.
finding() {
  jq -r --arg name "$1" '.findings[] | select(.group + "/" + .name == $name) | '"$2" <<<"$output"
}

# says GROUP/NAME VERDICT: with a sentence that says what it costs, if it costs; and the exit status fits.
says() {
  local wanted=0
  [ "$(finding "$1" .verdict)" = "$2" ] || {
    finding "$1" .
    return 1
  }
  [ "$2" = ok ] || [ "$(finding "$1" '.costs | length')" -gt 20 ]
  [ "$(jq .trouble_count <<<"$output")" -eq 0 ] || wanted=1
  [ "$status" -eq "$wanted" ]
}

examine() {
  run --separate-stderr "$@" "$AYRE" doctor --json
  [ -z "$stderr" ]
}

# As a script of a namespace or a shell: examined, mended by what is said for $1, and examined again.
mending='
  "$AYRE" doctor --json >before || [ $? -eq 1 ]
  eval "$(jq -r --arg name "$1" ".findings[] | select(.group + \"/\" + .name == \$name) | .mend" before)" >&2
  "$AYRE" doctor --json >after || [ $? -eq 1 ]'

# mends GROUP/NAME VERDICT BEGINNING: what it was before; the command begins so; afterwards it is ok.
mends() {
  status=0
  output=$(<before)
  [ "$(jq .trouble_count before)" -eq 0 ] || status=1
  says "$1" "$2"
  [[ "$(finding "$1" .mend)" == "$3"* ]] || {
    finding "$1" .
    return 1
  }
  output=$(<after)
  [ "$(finding "$1" .verdict)" = ok ] || {
    finding "$1" .
    return 1
  }
}

# in_namespaces OPTIONS SCRIPT GROUP/NAME
in_namespaces() {
  # shellcheck disable=SC2086
  AYRE=$AYRE unshare $1 bash -ec "$2$mending" bash "$3"
}

needs_filters() {
  command -v /usr/bin/python3 >/dev/null || skip "no python3"
}

# within RULE...: where a filter answers in the kernel's place.
within() {
  examine "$BATS_TEST_DIRNAME/outer.py" "$@" --
}

@test "json: one document, whose keys are always there" {
  examine env
  jq -e '[keys] == [["costs_count", "findings", "ok_count", "trouble_count", "verdict"]]' <<<"$output"
  jq -e '.findings | all(keys == ["costs", "group", "mend", "name", "value", "value_bytes", "value_count", "verdict"])' <<<"$output"
  jq -e '.findings | all(.verdict == "ok" or (.costs | type) == "string")' <<<"$output"
  jq -e '.findings | all(.verdict != "ok" or (.costs == null and .mend == null))' <<<"$output"
  jq -e '[.trouble_count, .costs_count, .ok_count] as $counts | [.findings[].verdict] |
    $counts == [(map(select(. == "trouble")) | length), (map(select(. == "costs")) | length), (map(select(. == "ok")) | length)]' <<<"$output"
  jq -e '[.findings[] | .group + "/" + .name] | length == (unique | length) and length > 45' <<<"$output"
}

@test "the table: a row for each, the worst first, and no colours but on a terminal" {
  run --separate-stderr bash -c 'ulimit -n 20; "$1" doctor' bash "$AYRE"
  [ "$status" -eq 1 ]
  [ -z "$stderr" ]
  [[ "$output" != *$'\033'* ]]
  grep -E '^(trouble|costs|ok) ' <<<"$output" | cut -d' ' -f1 | uniq >order
  [ "$(tr '\n' ' ' <order)" = 'trouble costs ok ' ] || [ "$(tr '\n' ' ' <order)" = 'trouble ok ' ]
  grep -q '^trouble  limits      open-files ' <<<"$output"
  grep -qx '         mend: ulimit -S -n 4096\|         mend: prlimit --pid $$ --nofile=4096' <<<"$output"
  [[ "${lines[-1]}" =~ ^[1-9][0-9]*\ trouble,\ [0-9]+\ costs,\ [0-9]+\ ok$ ]]
  [ "$(awk 'length > 100 && !/ mend: / && !/^(ok|costs|trouble) /' <<<"$output" | wc -l)" -eq 0 ]
}

@test "colours on a terminal, and never with NO_COLOR" {
  script -qec "'$AYRE' doctor" /dev/null </dev/null >terminal || true
  grep -q $'\033\\[32mok ' terminal
  NO_COLOR=1 script -qec "'$AYRE' doctor" /dev/null </dev/null >terminal || true
  grep -q '^ok ' terminal
  [ "$(grep -c $'\033' terminal)" -eq 0 ]
}

@test "a full standard output is an error" {
  run --separate-stderr sh -c '"$1" doctor >/dev/full' sh "$AYRE"
  [ "$status" -eq 1 ]
  [[ "$stderr" == *"standard output: No space left on device"* ]]
}

@test "looking leaves nothing, in memory or in the kernel's tables" {
  needs_mounts
  # shellcheck disable=SC2016
  unshare -mi bash -ec 'mount -t tmpfs tmpfs /dev/shm; unset AYRE_DIR; "$1" doctor >/dev/null || [ $? -eq 1 ]
    ls -A /dev/shm >files; cat /proc/sysvipc/shm /proc/sysvipc/sem | grep -v key >tables || true
    ls /proc/self/fd | wc -l >descriptors' bash "$AYRE"
  [ ! -s files ]
  [ ! -s tables ]
}

# --- memory ---

@test "a /dev/shm that is too small, or full of files, or cannot be written" {
  needs_mounts
  in_namespaces -m 'mount -t tmpfs -o size=64K tmpfs /dev/shm;' memory/shm
  mends memory/shm trouble 'mount -o remount,size='
  in_namespaces -m 'mount -t tmpfs -o size=8M tmpfs /dev/shm;' memory/shm
  mends memory/shm costs 'mount -o remount,size='
  in_namespaces -m 'mount -t tmpfs -o nr_inodes=64 tmpfs /dev/shm;' memory/shm
  mends memory/shm costs 'mount -o remount,nr_inodes=16448'
  in_namespaces -m 'mount -t tmpfs -o nr_inodes=1,size=2G tmpfs /dev/shm;' memory/shm || true
  output=$(<before) status=1
  says memory/shm trouble
  [[ "$(finding memory/shm .mend)" == 'mount -o remount,nr_inodes='* ]]
  in_namespaces -m 'mount -t tmpfs -o ro tmpfs /dev/shm;' memory/shm
  mends memory/shm trouble 'mount -o remount,rw '
}

@test "a /dev/shm that is not there, or no memory" {
  needs_mounts
  in_namespaces -m 'mkdir none; mount -t tmpfs tmpfs none; mkdir none/shm; for d in null zero urandom; do touch none/$d; mount --bind /dev/$d none/$d; done
    mount --rbind none /dev; rmdir /dev/shm;' memory/shm
  mends memory/shm trouble 'mkdir -p /dev/shm && mount -t tmpfs'
  place=$(mktemp -d /var/tmp/ayre-doctor.XXXXXX)
  in_namespaces -m "mount --bind $place /dev/shm;" memory/shm
  mends memory/shm costs 'mount -t tmpfs -o mode=1777 tmpfs /dev/shm'
}

@test "the root of topics: somebody else's, on a disk, not to be written" {
  needs_mounts
  in_namespaces -m 'mount -t tmpfs tmpfs /dev/shm; unset AYRE_DIR; mkdir -m 755 /dev/shm/ayre-0;' memory/root
  mends memory/root trouble 'rm -r /dev/shm/ayre-0'
  place=$(mktemp -d /var/tmp/ayre-doctor.XXXXXX)
  AYRE_DIR=$place in_namespaces -m '' memory/root
  mends memory/root costs 'unset AYRE_DIR'
  mkdir root
  AYRE_DIR=$PWD/root in_namespaces -m 'mount -t tmpfs -o ro tmpfs root;' memory/root
  mends memory/root trouble 'unset AYRE_DIR'
}

@test "what System V allows, in an IPC namespace of its own" {
  needs_root
  unshare -i sysctl -qw kernel.shmmni=4096 2>/dev/null || skip "needs IPC namespaces"
  in_namespaces -i 'sysctl -qw kernel.shmmax=1048576;' memory/sysv-size
  mends memory/sysv-size costs 'sysctl -w kernel.shmmax='
  in_namespaces -i 'sysctl -qw kernel.shmall=256;' memory/sysv-size
  mends memory/sysv-size costs 'sysctl -w kernel.shmmax='
  in_namespaces -i 'sysctl -qw kernel.shm_rmid_forced=1;' memory/sysv-kept
  mends memory/sysv-kept costs 'sysctl -w kernel.shm_rmid_forced=0'
  in_namespaces -i 'sysctl -qw kernel.shmmni=2; ipcmk -M 1 >/dev/null; ipcmk -M 1 >/dev/null;' memory/sysv-count
  mends memory/sysv-count costs 'sysctl -w kernel.shmmni=4'
  # And nothing is left for one that is tried.
  in_namespaces -i 'sysctl -qw kernel.shmmni=2; ipcmk -M 1 >/dev/null; ipcmk -M 1 >/dev/null;' kernel/sysv
  mends kernel/sysv costs 'sysctl -w kernel.shmmni='
  in_namespaces -i "sysctl -qw kernel.sem='32000 1024000000 500 1'; ipcmk -S 1 >/dev/null;" kernel/sysv
  mends kernel/sysv costs 'sysctl -w kernel.sem='
}

# The kernel's own switches are everybody's: a file in the place of one.
# covers PATH TEXT GROUP/NAME
covers() {
  in_namespaces -m "printf '%s\n' '$2' >cover; mount --bind cover $1;" "$3" 2>/dev/null || true
  output=$(<before)
  status=0
  [ "$(jq .trouble_count before)" -eq 0 ] || status=1
}

@test "switches of the kernel" {
  needs_mounts
  covers /proc/sys/vm/overcommit_memory 2 memory/overcommit
  says memory/overcommit costs
  [ "$(finding memory/overcommit .mend)" = 'sysctl -w vm.overcommit_memory=0' ]
  huge=/sys/kernel/mm/transparent_hugepage/shmem_enabled
  if [ -e "$huge" ]; then
    covers "$huge" 'always within_size advise [never] deny force' memory/huge-pages
    says memory/huge-pages costs
    [ "$(finding memory/huge-pages .mend)" = "echo advise > $huge" ]
    covers "$huge" 'always within_size [advise] never deny force' memory/huge-pages
    says memory/huge-pages ok
  fi
  covers /proc/meminfo 'MemAvailable: 1024 kB' memory/available
  says memory/available costs
  [ "$(finding memory/available .value_bytes)" -eq 1048576 ]
  clock=/sys/devices/system/clocksource/clocksource0/current_clocksource
  if [ -e "$clock" ]; then
    covers "$clock" hpet kernel/clock
    says kernel/clock costs
  fi
}

@test "what logind removes when its user logs out" {
  needs_mounts
  make_place
  cat >"$place/script" <<'SCRIPT'
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/users /run/systemd/system
mount -t tmpfs tmpfs /etc/systemd
look() {
  LD_LIBRARY_PATH=$1/bin setpriv --reuid="$2" --regid=54321 --clear-groups "$1/bin/ayre" doctor --json |
    jq -r '.findings[] | select(.name == "logout") | .verdict, .mend'
}
look "$1" 54321 | tee mend
look "$1" 999
sed -n 's/ && systemctl.*//; 2p' mend | sh
look "$1" 54321
printf '[Login]\nRemoveIPC=yes\n' >/etc/systemd/logind.conf.d/later.conf
look "$1" 54321
rmdir /run/systemd/system
look "$1" 54321
SCRIPT
  unshare -m bash -e "$place/script" "$place" >out
  [ "$(grep -c '^mkdir -p /etc/systemd/logind.conf.d && printf ' out)" -eq 2 ]
  [ "$(grep -v '^mkdir\|^null' out | tr '\n' ' ')" = 'costs ok ok costs ' ]
}

# --- limits ---

@test "limits of a process, and how a shell raises them" {
  (ulimit -S -n 20 && bash -ec "$mending" bash limits/open-files)
  mends limits/open-files trouble 'ulimit -S -n 4096'
  (ulimit -S -n 100 && bash -ec "$mending" bash limits/open-files)
  mends limits/open-files costs 'ulimit -S -n 4096'
  # Those that are open are not left.
  output=$(<before)
  [ "$(finding limits/open-files .value_count)" -le 97 ]
  (ulimit -S -f 1000 && bash -ec "$mending" bash limits/file-size)
  mends limits/file-size trouble 'ulimit -S -f unlimited'
  (ulimit -S -f 500000 && bash -ec "$mending" bash limits/file-size)
  mends limits/file-size costs 'ulimit -S -f unlimited'
}

@test "a bound of address space" {
  ! grep -q __asan_init "$AYRE" || skip "a sanitizer takes more"
  (ulimit -S -v 60000 && bash -ec "$mending" bash limits/address-space)
  mends limits/address-space trouble 'ulimit -S -v unlimited'
  (ulimit -S -v 8000000 && bash -ec "$mending" bash limits/address-space)
  mends limits/address-space costs 'ulimit -S -v unlimited'
}

@test "a hard limit, which only root raises" {
  needs_root
  (ulimit -n 100 && prlimit --pid $BASHPID --nofile=200) 2>/dev/null || skip "needs CAP_SYS_RESOURCE"
  (ulimit -n 100 && bash -ec "$mending" bash limits/open-files)
  mends limits/open-files costs 'prlimit --pid $$ --nofile=4096'
}

@test "processes of a user" {
  needs_root
  make_place
  run --separate-stderr prlimit --nproc=5 setpriv --reuid=54321 --regid=54321 --clear-groups \
    env LD_LIBRARY_PATH="$place/bin" "$place/bin/ayre" doctor --json
  says limits/processes trouble
  [[ "$(finding limits/processes .mend)" == 'prlimit --pid $$ --nproc=4096' ]]
  examine prlimit --nproc=5
  says limits/processes ok
}

# A user has as many pipes as there are without being asked about, and then they are small.
@test "pipes of a user who has many" {
  needs_root
  needs_filters
  make_place
  cat >"$place/hold.py" <<'PYTHON'
import os, resource, subprocess, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (20000, 20000))
os.setgroups([]); os.setgid(54322); os.setuid(54322)
held = []
for _ in range(9000):
    held.append(os.pipe())
    if __import__('fcntl').fcntl(held[-1][0], 1032) < 65536:
        break
subprocess.run([sys.argv[1], 'doctor', '--json'])
PYTHON
  run --separate-stderr env LD_LIBRARY_PATH="$place/bin" /usr/bin/python3 "$place/hold.py" "$place/bin/ayre"
  [ "$(finding limits/pipe-size .verdict)" = costs ]
  [ "$(finding limits/pipe-size .value_bytes)" -lt 65536 ]
  [[ "$(finding limits/pipe-size .mend)" == 'sysctl -w fs.pipe-user-pages-soft='* ]]
}

# --- control groups ---

@test "a control group with few processes" {
  needs_root
  group=/sys/fs/cgroup/pids
  [ -d "$group" ] || group=/sys/fs/cgroup
  group=$group/ayre-test-$$
  mkdir "$group" 2>/dev/null && [ -e "$group/pids.max" ] || skip "no control group of processes can be made"
  # shellcheck disable=SC2016
  bash -ec 'echo $$ >"$2/cgroup.procs"; echo 40 >"$2/pids.max"; shift 2; eval "$1"' bash x "$group" "set -- group/processes; $mending"
  rmdir "$group"
  mends group/processes costs "echo max > $group/pids.max"
}

# fakes VERSION: what /proc tells of the groups of this process, and a tree of them in ./tree.
fakes() {
  rm -rf tree
  mkdir -p tree/outer/inner
  if [ "$1" -eq 2 ]; then
    echo '0::/outer/inner' >cgroup
    echo "30 20 0:26 / $PWD/tree rw - cgroup2 cgroup rw" >mountinfo
  else
    printf '5:cpuacct,cpu:/outer/inner\n4:memory:/outer/inner\n3:pids:/outer/inner\n0::/\n' >cgroup
    for controller in memory pids cpu; do
      echo "30 20 0:26 / $PWD/tree rw - cgroup cgroup rw,$controller"
    done >mountinfo
  fi
}

grouped() {
  # shellcheck disable=SC2016
  run --separate-stderr unshare -m bash -ec \
    'mount --bind cgroup /proc/$$/cgroup; mount --bind mountinfo /proc/$$/mountinfo; exec "$1" doctor --json' bash "$AYRE"
}

@test "control groups of the second version: the tightest of all above" {
  needs_mounts
  fakes 2
  grouped
  says group/memory ok
  [ "$(finding group/memory .value)" = 'no bound' ]
  echo max >tree/outer/inner/memory.max
  echo 67108864 >tree/outer/memory.max
  echo 1048576 >tree/outer/memory.current
  echo 100000 >tree/outer/pids.max
  echo 9 >tree/outer/inner/pids.max
  echo 5 >tree/outer/inner/pids.current
  echo '50000 100000' >tree/outer/cpu.max
  echo 'max 100000' >tree/outer/inner/cpu.max
  grouped
  says group/memory costs
  [ "$(finding group/memory .value_bytes)" -eq 67108864 ]
  [ "$(finding group/memory .mend)" = "echo max > $PWD/tree/outer/memory.max" ]
  says group/processes trouble
  [ "$(finding group/processes .value_count)" -eq 4 ]
  says group/processors costs
  [ "$(finding group/processors .value)" = 0.50 ]
  mv tree/outer/inner "tree/outer/in\\x2dner"
  echo '0::/outer/in\x2dner' >cgroup
  grouped
  [ "$(finding group/processes .mend)" = "echo max > '$PWD/tree/outer/in\\x2dner/pids.max'" ]
}

@test "control groups of the first version" {
  needs_mounts
  fakes 1
  echo 67108864 >tree/outer/inner/memory.limit_in_bytes
  echo 9223372036854771712 >tree/outer/memory.limit_in_bytes
  echo 30 >tree/outer/pids.max
  echo 2 >tree/outer/pids.current
  echo 150000 >tree/outer/cpu.cfs_quota_us
  echo 100000 >tree/outer/cpu.cfs_period_us
  echo -1 >tree/outer/inner/cpu.cfs_quota_us
  grouped
  says group/memory costs
  [ "$(finding group/memory .mend)" = "echo -1 > $PWD/tree/outer/inner/memory.limit_in_bytes" ]
  says group/processes costs
  [ "$(finding group/processes .value_count)" -eq 28 ]
  [ "$(finding group/processors .value)" = 1.50 ]
  [ "$(finding group/processors .mend)" = "echo -1 > $PWD/tree/outer/cpu.cfs_quota_us" ]
}

# --- the kernel ---

@test "one processor" {
  (taskset -p -c "$(taskset -pc $$ | sed 's/.*: //; s/[-,].*//')" $BASHPID >/dev/null && exec bash -ec "$mending" bash kernel/processors)
  if [ "$(getconf _NPROCESSORS_ONLN)" -gt 1 ]; then
    mends kernel/processors costs 'taskset -p -c 0-'
  else
    output=$(<before) status=0
    [ "$(finding kernel/processors .verdict)" = costs ]
  fi
}

@test "calls that a filter refuses: what is lost, and exit 1 where something is" {
  needs_filters
  within "$membarrier=38"
  says kernel/membarrier costs
  [ "$(finding kernel/membarrier .value)" = 'Function not implemented' ]
  [[ "$(finding kernel/membarrier .mend)" == 'docker run --security-opt '* ]]
  within "$pidfd_open=38"
  says kernel/pidfd trouble
  within "$close_range=kill"
  says kernel/close-range trouble
  [[ "$(finding kernel/close-range .value)" == *killed* ]]
  within "$memfd_create=1"
  says kernel/memfd trouble
  says confinement/worker trouble
  within "$clone3=38"
  says kernel/clone3 costs
  says confinement/worker ok
  within "$epoll_pwait2=38"
  says kernel/epoll-pwait2 trouble
  within "$inotify_init1=24"
  says kernel/inotify costs
  [[ "$(finding kernel/inotify .mend)" == 'sysctl -w fs.inotify.max_user_instances='* ]]
}

@test "namespaces and Landlock that a filter refuses" {
  needs_filters
  # shellcheck disable=SC2086
  within $docker
  says confinement/namespaces costs
  says confinement/worker ok
  # shellcheck disable=SC2046
  within $(printf '%s=38 ' $landlock)
  says confinement/landlock trouble
  [[ "$(finding confinement/landlock .costs)" == *'--without landlock'* ]]
  says confinement/worker trouble
  # shellcheck disable=SC2046
  within $(printf '%s=95 ' $landlock)
  [[ "$(finding confinement/landlock .mend)" == *'lsm=landlock'* ]]
  within "$seccomp=kill"
  says confinement/layers trouble
  [[ "$(finding confinement/layers .costs)" == *'a filter from outside'* ]]
}

@test "user namespaces that are switched off" {
  unshare -Ur sh -c 'echo 0 >/proc/sys/user/max_user_namespaces' 2>/dev/null || skip "needs user namespaces"
  in_namespaces -Ur 'echo 0 >/proc/sys/user/max_user_namespaces;' confinement/namespaces
  mends confinement/namespaces costs 'sysctl -w user.max_user_namespaces='
}

@test "the helper program of workers is missing" {
  AYRE_ZYGOTE=$PWD/ayre-zygote examine env
  says confinement/worker trouble
  [[ "$(finding confinement/worker .costs)" == *"$PWD/ayre-zygote: No such file or directory"* ]]
  [ "$(finding confinement/worker .mend)" = 'meson install -C build' ]
}

@test "processes that /proc hides, and no /proc at all" {
  needs_mounts
  make_place
  # shellcheck disable=SC2016
  unshare -m bash -ec 'mount -t proc -o hidepid=2 proc /proc
    look() { LD_LIBRARY_PATH=$1/bin setpriv --reuid=54321 --regid=54321 --clear-groups "$1/bin/ayre" doctor --json |
      jq -r ".findings[] | select(.name == \"other-processes\") | .verdict, .mend"; }
    look "$1" | tee mend; sed -n 2p mend | sh; look "$1"' bash "$place" >out
  [ "$(tr '\n' ' ' <out)" = 'costs mount -o remount,hidepid=0 /proc ok null ' ]
  ! grep -q __asan_init "$AYRE" || skip "a sanitizer says something of its own without /proc"
  in_namespaces -m 'mount -t tmpfs tmpfs /proc;' kernel/proc
  mends kernel/proc trouble 'mount -t proc proc /proc'
}

# A program that may be executed and not read: its processes cannot be looked into, not by their own user.
@test "processes that may not be observed" {
  needs_root
  make_place
  chmod 711 "$place/bin/ayre"
  # By a second program, since setpriv(1) has privileges until it has executed the first.
  # shellcheck disable=SC2016
  run --separate-stderr setpriv --reuid=54321 --regid=54321 --clear-groups \
    sh -c 'LD_LIBRARY_PATH=$1 exec "$1/ayre" doctor --json' sh "$place/bin"
  says kernel/observe costs
  [ "$(finding kernel/observe .value)" = 'Permission denied' ]
}

# --- leftovers ---

@test "what a killed publisher and a killed subscriber leave; ayre gc, and what stays" {
  mkfifo input
  start none "$AYRE" pub t <>input
  publisher=$pid
  until_true peers pub 1 t
  start none "$AYRE" sub t
  until_true asleep 1 t
  echo kept >input
  until_true sh -c '[ "$("$1" topic show t --json | jq "[.publishers[].messages] | add")" = 1 ]' sh "$AYRE"
  examine env
  says leftovers/removable ok
  says leftovers/dead-publishers ok
  kill -KILL "$pid" "$publisher"
  wait "$pid" "$publisher" || true
  ayre() { "$AYRE" "$@"; }
  export -f ayre
  bash -ec "$mending" bash leftovers/removable 2>/dev/null
  mends leftovers/removable costs 'ayre gc'
  [ "$(finding leftovers/content .value_count)" -eq 1 ]
  bash -ec "$mending" bash leftovers/dead-publishers
  mends leftovers/dead-publishers costs 'ayre topic remove t'
  [ ! -e "$AYRE_DIR/t" ]
}

@test "a publisher that closed is no death" {
  ayre pub t hello
  examine env
  says leftovers/dead-publishers ok
  [ "$(finding leftovers/content .value_count)" -eq 1 ]
}

@test "a damaged topic" {
  ayre pub t hello
  chmod u+w "$AYRE_DIR/t/topic"
  truncate -s 10 "$AYRE_DIR/t/topic"
  ayre() { "$AYRE" "$@"; }
  export -f ayre
  bash -ec "$mending" bash leftovers/damaged-topics
  mends leftovers/damaged-topics trouble 'ayre topic remove t'
}

@test "System V segments that are not finished, or that nobody has" {
  needs_root
  unshare -i true 2>/dev/null || skip "needs IPC namespaces"
  ayre() { "$AYRE" "$@"; }
  export -f ayre
  in_namespaces -i 'ipcmk -M 4096 -p 0601 >/dev/null;' leftovers/unfinished-sysv
  mends leftovers/unfinished-sysv costs 'ayre segment remove sysv:0x'
  in_namespaces -i 'for i in 1 2 3 4 5; do ipcmk -M 4096 -p 0600 >/dev/null; done;' leftovers/unused-sysv || true
  output=$(<before) status=0
  [ "$(finding leftovers/unused-sysv .value_count)" -eq 5 ]
  [ "$(finding leftovers/unused-sysv .mend | tr ';' '\n' | wc -l)" -eq 4 ]
  [ "$(jq '.findings[] | select(.name == "unused-sysv") | .value_count' after)" -eq 1 ]
}

@test "a creator's file in /dev/shm: of a dead one, and of one that lives" {
  needs_mounts
  in_namespaces -m 'mount -t tmpfs tmpfs /dev/shm; touch /dev/shm/.x.ayre-creating;' leftovers/unfinished-shm
  mends leftovers/unfinished-shm costs 'rm /dev/shm/.x.ayre-creating'
  in_namespaces -m 'mount -t tmpfs tmpfs /dev/shm; touch /dev/shm/.x.ayre-creating
    exec {lock}</dev/shm/.x.ayre-creating; flock -x $lock;' leftovers/unfinished-shm 2>/dev/null || true
  [ "$(jq -r '.findings[] | select(.name == "unfinished-shm") | .verdict' before)" = ok ]
  # A name that a shell would take apart.
  in_namespaces -m "mount -t tmpfs tmpfs /dev/shm; touch \"/dev/shm/.a; touch b' \\\$(touch c).ayre-creating\";" leftovers/unfinished-shm
  mends leftovers/unfinished-shm costs "rm '/dev/shm/.a; touch b'"
  [ ! -e b ] && [ ! -e "b'" ] && [ ! -e c ]
}

@test "a log whose half in memory is gone is no trouble" {
  place=$(mktemp -d /var/tmp/ayre-doctor.XXXXXX)
  AYRE_DIR=$place ayre pub t hello
  rm -r "$(AYRE_DIR=$place ayre topic show t --json | jq -r .memory_path)"
  AYRE_DIR=$place examine env
  says leftovers/logs ok
  [ "$(finding leftovers/logs .value)" = '1, 1 with nothing in memory yet' ]
}
