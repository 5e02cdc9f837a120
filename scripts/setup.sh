# Sourced by ./try, ./check and scripts/tour: installs what is missing, and configures a build.
#
#   require LIST...   LIST is `build`, `tour`, `test`, `fuzz`, `models` or `package`; returns when all of it is there
#   configure DIR [MESON-OPTION]...

# What a bare Debian 12 needs. The C library's and the sanitizers' files come with gcc.
debian_build='gcc libc6-dev meson ninja-build pkgconf libjansson-dev libseccomp-dev libxxhash-dev'
# The decoders of examples/gallery.
debian_tour='libpng-dev libjpeg62-turbo-dev libwebp-dev libcairo2-dev fonts-dejavu-core'
debian_test="$debian_tour g++ libcmocka-dev liblmdb-dev libsqlite3-dev bats bubblewrap mandoc musl-tools jq python3 e2fsprogs xfsprogs libfuse3-dev mount util-linux procps zsh fish"
debian_fuzz='clang-14 libclang-rt-14-dev'
debian_models='spin gcc libc6-dev'
debian_package='bash-completion build-essential debhelper debootstrap git liblmdb-dev libpng-dev libsqlite3-dev lintian util-linux'
# The same elsewhere, by those who know the names; not tested by us.
fedora_build='gcc glibc-devel meson ninja-build pkgconf-pkg-config jansson-devel libseccomp-devel xxhash-devel'
fedora_tour='libpng-devel libjpeg-turbo-devel libwebp-devel cairo-devel dejavu-sans-fonts util-linux'
fedora_test="$fedora_tour gcc-c++ libcmocka-devel lmdb-devel sqlite-devel bats bubblewrap python3 mandoc jq e2fsprogs xfsprogs fuse3-devel procps-ng zsh fish libasan libubsan libtsan"
fedora_fuzz='clang compiler-rt'
arch_build='gcc meson ninja pkgconf jansson libseccomp xxhash'
arch_tour='libpng libjpeg-turbo libwebp cairo ttf-dejavu util-linux'
arch_test="$arch_tour cmocka lmdb sqlite bats bubblewrap python mandoc jq e2fsprogs xfsprogs fuse3 procps-ng zsh fish"
arch_fuzz='clang compiler-rt'

say() {
  printf '%s\n' "$*"
}

# Which of these commands and libraries are not there? For systems without dpkg.
missing_tools() {
  for tool in cc meson ninja pkg-config; do
    command -v "$tool" >/dev/null 2>&1 || printf ' %s' "$tool"
  done
  pkg-config --exists jansson 2>/dev/null || printf ' jansson'
  pkg-config --exists libseccomp 2>/dev/null || printf ' libseccomp'
  pkg-config --exists libxxhash 2>/dev/null || printf ' libxxhash'
  case " $* " in *' test '*)
    for tool in c++ bats mandoc jq mkfs.ext4 losetup; do
      command -v "$tool" >/dev/null 2>&1 || printf ' %s' "$tool"
    done
    pkg-config --exists cmocka 2>/dev/null || printf ' cmocka' ;;
  esac
}

missing_packages() {
  for package in "$@"; do
    status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) || status=
    case $status in *' installed') ;; *) printf ' %s' "$package" ;; esac
  done
}

# Prints what to type and gives up.
refuse() {
  say "$1" >&2
  say "    $2" >&2
  exit 1
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  else
    sudo "$@"
  fi
}

require_debian() {
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  line="apt-get install --no-install-recommends$missing"
  if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then
    refuse 'Some packages are missing, and installing them takes root:' "$line"
  fi
  say "Installing:$missing"
  # Word splitting is meant: a list of names.
  # shellcheck disable=SC2086
  if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update --error-on=any ||
    ! as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y install \
      --no-install-recommends $missing >/dev/null; then
    refuse 'The packages could not be installed; once there is a network:' "$line"
  fi
}

require_other() {
  missing=$(missing_tools "$@")
  [ -n "$missing" ] || return 0
  id=$(. /etc/os-release 2>/dev/null && printf '%s %s' "${ID:-}" "${ID_LIKE:-}") || id=
  case " $id " in
    *' fedora '* | *' rhel '*) install='dnf install' prefix=fedora ;;
    *' arch '*) install='pacman -S --needed' prefix=arch ;;
    *) install='(by their Debian names)' prefix=debian ;;
  esac
  packages=
  for list in "$@"; do
    eval "packages=\"\$packages \$${prefix}_$list\""
  done
  refuse "Missing:$missing. Please install:" "$install$packages"
}

require() {
  if ! command -v dpkg-query >/dev/null 2>&1 || ! command -v apt-get >/dev/null 2>&1; then
    require_other "$@"
    return 0
  fi
  packages=
  for list in "$@"; do
    eval "packages=\"\$packages \$debian_$list\""
  done
  # shellcheck disable=SC2086
  require_debian $packages
}

# A build directory that is there keeps its options.
configure() {
  directory=$1
  shift
  if [ ! -f "$directory/build.ninja" ]; then
    meson setup "$directory" "$@" >"$directory.log" 2>&1 || {
      cat "$directory.log" >&2
      exit 1
    }
    rm -f "$directory.log"
  fi
}
