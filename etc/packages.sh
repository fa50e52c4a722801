# Installs missing Debian packages and prints their names. Sourced by etc/quickstart and tests/run.

build_packages="g++ cmake ninja-build pkg-config libuv1-dev libseccomp-dev nlohmann-json3-dev libcli11-dev libfmt-dev"
test_packages="catch2 python3 expect telnet netcat-openbsd socat strace procps iproute2 mandoc redis-server \
  git sudo nginx-light vsftpd openssh-client openssh-server rsync busybox curl haproxy mailfront openssl rdate systemd ucspi-tcp ucspi-unix"
# For tests/long/run.
long_packages="postgresql"

missing_packages() {
  for package in "$@"; do
    dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || printf '%s ' "$package"
  done
}

ensure_packages() {
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" = 0 ]; then
    as_root=
  elif command -v sudo >/dev/null; then
    as_root=sudo
  else
    echo "These Debian packages are missing, and only root can install them: $missing" >&2
    return 77
  fi
  echo "Installing ${as_root:+with sudo }the missing Debian packages: $missing" >&2
  $as_root apt-get update -qq >&2 || return
  # Runlevel 1 keeps the packages' own daemons from being started: the tests start the daemons that they need.
  $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $missing >/dev/null
}
