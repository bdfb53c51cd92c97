# shellcheck shell=bash disable=SC2154
# Shared by examples/run.sh and tests/run.sh: say what happens, install what is missing, run quietly. Sourced, not run;
# the one who sources it sets $log.

say() { echo "$*" >&2; }

stop() {
  echo "weft: $*" >&2
  exit 1
}

# quietly SENTENCE COMMAND...: runs a command with its output in $log; where it fails, says so and where to look.
quietly() {
  local sentence=$1 before error
  shift
  before=$(wc -c <"$log")
  if ! "$@" >>"$log" 2>&1; then
    # It reads to the end: leaving early would break the pipe, and pipefail the script.
    error=$(tail -c "+$((before + 1))" "$log" | awk '
      found || /Can not write log/ { next }
      /error:|^E: |undefined reference/ { print; found = 1 }
      /^CMake Error/ { inside = 1; next }  # the sentence follows, indented, up to an empty line
      inside && /^Call Stack/ { print sentence; found = 1 }
      inside && NF { sub(/^ +/, ""); sentence = sentence $0 " " }
      inside && !NF && sentence != "" { print sentence; found = 1 }')
    stop "$sentence failed.${error:+ The first error is: ${error:0:300}}
The whole output is in $log"
  fi
}

# present NAME: a command on the path, or a header among the system's.
present() {
  case $1 in
    *.h | *.hpp | */*)
      local folder
      for folder in /usr/include /usr/local/include; do
        [ -e "$folder/$1" ] && return 0
      done
      return 1
      ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
  esac
}

# install_missing PACKAGE=NAME...: installs the Debian packages whose command or header is not present.
install_missing() {
  local packages=() pair
  for pair in "$@"; do
    present "${pair#*=}" || packages+=("${pair%%=*}")
  done
  [ ${#packages[@]} -eq 0 ] && return

  command -v apt-get >/dev/null 2>&1 ||
    stop "these packages are missing and there is no apt-get to install them with: ${packages[*]}. Install what your system calls them and start again."
  local root=()
  if [ "$(id -u)" -ne 0 ]; then
    { command -v sudo >/dev/null 2>&1 && { [ -t 0 ] || sudo -n true 2>/dev/null; }; } ||
      stop "these packages are missing and only an administrator can install them: apt-get install ${packages[*]}"
    root=(sudo)
  fi
  say "Installing ${packages[*]} ..."
  quietly "Fetching the list of packages (apt-get update)" "${root[@]}" apt-get update -q
  quietly "Installing ${packages[*]}" "${root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "${packages[@]}"
}

# The C++ compiler: $CXX, or c++, or one installed now.
install_compiler() {
  [ -n "${CXX:-}" ] && { present "$CXX" || stop "the compiler $CXX (from the variable CXX) is not there."; return; }
  present c++ || install_missing g++=g++
}

# How many compilers may run at once: one per processor, and 1.5 GB of memory for each.
build_jobs() {
  local processors memory
  processors=$(nproc 2>/dev/null || echo 1)
  memory=$(awk '/MemAvailable/ { print int($2 / 1500000) }' /proc/meminfo 2>/dev/null || echo 1)
  [ "${memory:-1}" -ge 1 ] || memory=1
  [ "$memory" -lt "$processors" ] && processors=$memory
  echo "$processors"
}
