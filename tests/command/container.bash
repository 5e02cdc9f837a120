# Shared by the tests of what is like a container: what outer.py takes.

# By their numbers.
if [ "$(uname -m)" = x86_64 ]; then
  clone=56 close_range=436 clone3=435 epoll_pwait2=441 inotify_init1=294 landlock="444 445 446" membarrier=324 memfd_create=319
  mount=165 pidfd_open=434 pivot_root=155 prlimit=302 seccomp=317 setns=308 unshare=272
else
  clone=220 close_range=436 clone3=435 epoll_pwait2=441 inotify_init1=26 landlock="444 445 446" membarrier=283 memfd_create=279
  mount=40 pidfd_open=434 pivot_root=41 prlimit=261 seccomp=277 setns=268 unshare=97
fi
namespaces=0x7e020000

# What docker's profile refuses to those without CAP_SYS_ADMIN.
docker="$unshare:$namespaces=1 $clone:$namespaces=1 $setns=1 $clone3=38 $mount=1 $pivot_root=1"
