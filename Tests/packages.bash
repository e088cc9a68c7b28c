# Sourced by the scripts that install packages.

# mirror_of RELEASE: the mirror of a Debian release that this machine's own sources name.
mirror_of() {
  local targets mirror
  # shellcheck disable=SC2016  # The names with $ are apt's.
  targets=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages') || return
  mirror=$(sed -n "s/ $1\$//p;T;q" <<<"$targets")
  [ -n "$mirror" ] && echo "$mirror"
}

# again NAME COMMAND...: runs it, quietly; a mirror that does not answer is asked a few times.
again() {
  local name=$1 try log
  shift
  log=$(mktemp)
  for try in 1 2 3 4; do
    if "$@" >"$log" 2>&1; then
      rm -f "$log"
      return
    fi
    [ "$try" = 4 ] || sleep $((try * 10))
  done
  tail -n 20 "$log" >&2
  rm -f "$log"
  echo "$name: the mirror of Debian's packages does not answer, or lacks something" >&2
  return 69
}

# may_install NAME PACKAGE...: fails with a sentence where NAME cannot install PACKAGEs here; otherwise `apt` is apt-get as root.
may_install() {
  local name=$1 root=()
  shift
  if ! command -v apt-get >/dev/null; then
    echo "$name: there is no apt-get here. Install by hand what these packages of Debian have: $*" >&2
    return 69
  fi
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "$name: to install packages takes root or sudo. Have these installed (as root: apt-get install $*): $*" >&2
      return 69
    fi
    root=(sudo)
  fi
  apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0)
}

# install_packages NAME PACKAGE...: installs them; quiet unless that fails.
install_packages() {
  local name=$1 log
  shift
  may_install "$name" "$@" || return
  echo "$name: installing $*"
  log=$(mktemp)
  "${apt[@]}" install --no-install-recommends "$@" >"$log" 2>&1 || {
    # The lists were missing or old.
    "${apt[@]}" update >>"$log" 2>&1 || true
    "${apt[@]}" install --no-install-recommends "$@" >>"$log" 2>&1 || {
      tail -n 20 "$log" >&2
      rm -f "$log"
      echo "$name: these packages could not be installed: $*" >&2
      return 69
    }
  }
  rm -f "$log"
}
