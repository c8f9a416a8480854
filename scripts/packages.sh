# Sourced by the other scripts: installs Debian packages that are missing, and nothing when all are
# there.

# The library, the example programs and their data; then what only the tests and benchmarks need.
zo_packages=(g++ cmake ninja-build libeigen3-dev libtorch-dev nlohmann-json3-dev libcli11-dev libcurl4-openssl-dev
  libboost-dev zlib1g-dev libpng-dev gnuplot-nox dataset-fashion-mnist ca-certificates)
zo_test_packages=(libgtest-dev libbenchmark-dev libopenmpi-dev openmpi-bin libcpp-httplib-dev
  libssl-dev openssl xfoil ngspice)

install_missing() {
  command -v dpkg-query >/dev/null || {
    echo "This script installs Debian packages, and there is no dpkg here. Install yourself: $*" >&2
    return 1
  }
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  local root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
      echo "Installing ${missing[*]} needs root: run as root, or install sudo." >&2
      return 1
    }
    root=(sudo)
  fi
  echo "Installing ${missing[*]}"
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "${missing[@]}" >/dev/null
}

# Parallel compilers: one a core, but one for each 2 GiB of memory at most (LibTorch's headers).
build_jobs() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/MemAvailable/ { print int($2 / 2097152) }' /proc/meminfo)
  [ "$memory" -ge 1 ] || memory=1
  [ "$cores" -lt "$memory" ] && echo "$cores" || echo "$memory"
}
