#!/usr/bin/env bash
# Stand-ins for common base images, for a machine that can reach a Debian mirror but no
# image registry. Distroless images are made of Debian packages, so the same packages make the same file
# system: they are downloaded, unpacked and imported under the real image's name.
#
#   base_images.sh [--force] [NAME...]     all of them without a NAME; an existing tag is kept
#   base_images.sh --list                  lists each NAME and tag
#
# Needs Debian 12, root, apt-get, dpkg-deb, GNU tar and podman. Keeps packages in
# $WRAPPER_CACHE (default: ~/.cache/wrapper), so that a second run downloads nothing.
set -euo pipefail

readonly NONROOT=65532
readonly SYSTEM_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
readonly PACKAGES=${WRAPPER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/wrapper}/debian

# The machine that the packages are for, and where they are kept.
MACHINE=native
CACHE=$PACKAGES

declare -rA TAGS=(
  [static]=gcr.io/distroless/static-debian12:nonroot
  [base]=gcr.io/distroless/base-debian12:nonroot
  [cc]=gcr.io/distroless/cc-debian12:nonroot
  [debian]=docker.io/library/debian:bookworm-slim
  [busybox]=docker.io/library/busybox:latest
  [musl]=docker.io/library/alpine:latest
  [cc-arm64]=localhost/wrapper-test/cc-arm64
)
readonly ORDER=(static base cc debian busybox musl cc-arm64)

readonly STATIC_PACKAGES=(base-files netbase tzdata media-types ca-certificates)
readonly BASE_PACKAGES=("${STATIC_PACKAGES[@]}" libc6 libssl3)
# Used by build, through the name of the image.
# shellcheck disable=SC2034
readonly CC_PACKAGES=("${BASE_PACKAGES[@]}" gcc-12-base libgcc-s1 libstdc++6 libgomp1)
readonly DEBIAN_PACKAGES=(
  base-files base-passwd bash coreutils dash debianutils diffutils findutils gcc-12-base grep gzip hostname
  libacl1 libattr1 libc-bin libc6 libgcc-s1 libgmp10 libpcre2-8-0 libselinux1 libstdc++6 libtinfo6 mawk
  sed tar
)

fail() {
  echo "base_images: $*" >&2
  exit 1
}

# apt-get for the machine that the packages are for; each machine has its own package lists.
apt() {
  local options=(-o APT::Sandbox::User=root)
  if [[ $MACHINE == arm64 ]]; then
    mkdir -p "$CACHE/lists/partial"
    options+=(-o APT::Architecture=arm64 -o APT::Architectures=arm64 -o "Dir::State::Lists=$CACHE/lists")
  fi
  apt-get -qq "${options[@]}" "$@" >&2
}

download() {
  (cd "$CACHE" && apt download "$@")
}

# The packages' files in CACHE, one path per line; missing ones are downloaded.
packages() {
  local name missing=()
  mkdir -p "$CACHE"
  for name in "$@"; do
    compgen -G "$CACHE/${name}_*.deb" >/dev/null || missing+=("$name")
  done
  if ((${#missing[@]})); then
    # If the package lists are missing or old, they are updated first.
    download "${missing[@]}" 2>/dev/null || { apt update && download "${missing[@]}"; } ||
      fail "cannot download ${missing[*]}"
  fi
  for name in "$@"; do
    compgen -G "$CACHE/${name}_*.deb" | sort -V | tail -n 1
  done
}

# unpack ROOT PACKAGE...: without documentation; follows the links of a merged /usr.
unpack() {
  local root=$1 files file
  shift
  files=$(packages "$@")
  while read -r file; do
    dpkg-deb --fsys-tarfile "$file" | tar --extract --directory "$root" --keep-directory-symlink \
      --exclude './usr/share/doc/*' --exclude './usr/share/man/*' --exclude './usr/share/locale/*'
  done <<<"$files"
}

# What the packages' installation scripts would have made: accounts, the certificate bundle, home folders.
accounts() {
  local root=$1
  mkdir -p "$root"/{etc,root,tmp,home/nonroot}
  chmod 0700 "$root/root" "$root/home/nonroot"
  chmod 1777 "$root/tmp"
  chown "$NONROOT:$NONROOT" "$root/home/nonroot"
  printf '%s\n' \
    'root:x:0:0:root:/root:/sbin/nologin' \
    'nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin' \
    "nonroot:x:$NONROOT:$NONROOT:nonroot:/home/nonroot:/sbin/nologin" >"$root/etc/passwd"
  printf '%s\n' 'root:x:0:' 'nobody:x:65534:' 'tty:x:5:' 'staff:x:50:' "nonroot:x:$NONROOT:" \
    >"$root/etc/group"
  echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
}

certificates() {
  local root=$1
  mkdir -p "$root/etc/ssl/certs"
  cat "$root"/usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"
}

merged_usr() {
  local root=$1 name
  for name in bin sbin lib lib64; do
    mkdir -p "$root/usr/$name"
    ln -s "usr/$name" "$root/$name"
  done
}

busybox_applets() {
  local root=$1 name
  unpack "$root" busybox-static
  mkdir -p "$root/bin"
  # Where the package has it differs between Debian releases.
  if [[ -e $root/usr/bin/busybox ]]; then
    mv "$root/usr/bin/busybox" "$root/bin/busybox"
  fi
  rm -rf "${root:?}/usr"
  mkdir -p "$root/usr/bin"
  "$root/bin/busybox" --list | while read -r name; do
    [[ $name == busybox ]] || ln "$root/bin/busybox" "$root/bin/$name"
  done
}

# load TAG ROOT CHANGE...: imports the folder as an image with one layer; the same packages give the same bytes.
load() {
  local tag=$1 root=$2 change changes=(--change 'LABEL stand-in=debian') arch=()
  shift 2
  for change in "$@"; do
    changes+=(--change "$change")
  done
  [[ $MACHINE == native ]] || arch=(--arch "$MACHINE")
  tar --create --directory "$root" --sort=name --mtime=@0 --numeric-owner . |
    podman import --quiet "${arch[@]}" "${changes[@]}" - "$tag" >/dev/null
}

build() {
  local name=$1 root
  local distroless=("USER $NONROOT" 'WORKDIR /home/nonroot' "ENV PATH=$SYSTEM_PATH"
    'ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt')
  root=$(mktemp -d)
  # shellcheck disable=SC2064 # expands now, to the folder of this call
  trap "rm -rf '$root'" RETURN
  chmod 0755 "$root"
  if [[ $name == *-arm64 ]]; then
    MACHINE=arm64
    CACHE=$PACKAGES/arm64
    name=${name%-arm64}
  fi
  case $name in
  static | base | cc)
    local -n list=${name^^}_PACKAGES
    unpack "$root" "${list[@]}"
    accounts "$root"
    certificates "$root"
    load "${TAGS[$1]}" "$root" "${distroless[@]}"
    ;;
  debian)
    merged_usr "$root"
    unpack "$root" "${DEBIAN_PACKAGES[@]}"
    ln -sf dash "$root/bin/sh"
    ln -sf mawk "$root/usr/bin/awk"
    mkdir -p "$root/tmp"
    chmod 1777 "$root/tmp"
    cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
    cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
    load "${TAGS[$name]}" "$root" "ENV PATH=$SYSTEM_PATH" 'CMD ["bash"]'
    ;;
  busybox)
    busybox_applets "$root"
    accounts "$root"
    load "${TAGS[$name]}" "$root" "ENV PATH=$SYSTEM_PATH" 'CMD ["sh"]'
    ;;
  musl)
    # Alpine's C library is musl. Debian does not have Alpine's programs: a static BusyBox replaces them,
    # and Debian's musl has the loader that programs built with musl-gcc need.
    busybox_applets "$root"
    unpack "$root" musl
    ln -sf /lib/x86_64-linux-musl/libc.so "$root/lib/ld-musl-x86_64.so.1"
    accounts "$root"
    load "${TAGS[$name]}" "$root" "ENV PATH=$SYSTEM_PATH" 'CMD ["/bin/sh"]'
    ;;
  esac
}

main() {
  local force=false name wanted=()
  while (($#)); do
    case $1 in
    --force) force=true ;;
    --list)
      for name in "${ORDER[@]}"; do printf '%s\t%s\n' "$name" "${TAGS[$name]}"; done
      return
      ;;
    -*) fail "unknown option $1" ;;
    *)
      [[ -v TAGS[$1] ]] || fail "no image '$1': one of ${ORDER[*]}"
      wanted+=("$1")
      ;;
    esac
    shift
  done
  ((${#wanted[@]})) || wanted=("${ORDER[@]}")
  for name in "${wanted[@]}"; do
    if [[ $force == false ]] && podman image exists "${TAGS[$name]}"; then
      echo "${TAGS[$name]}: is there"
    else
      build "$name"
      echo "${TAGS[$name]}: built"
    fi
  done
}

main "$@"
