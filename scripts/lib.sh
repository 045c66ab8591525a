# Shared by the scripts of this folder: sourced, not run.

# Run as root, through sudo where we are not root.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo > /dev/null; then sudo "$@"; else
    echo "needs root for: $*; become root or install sudo" >&2
    return 1
  fi
}

# Installs those of the Debian packages that are missing; touches nothing where all are there.
need_packages() {
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q "install ok installed" || missing+=("$package")
  done
  if [ ${#missing[@]} = 0 ]; then return; fi
  echo "installing ${missing[*]}" >&2
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" > /dev/null
}

# Everything that building and running asks of the system.
need_system() {
  command -v apt-get > /dev/null || {
    echo "these scripts know Debian and Ubuntu; elsewhere install OpenBLAS, pkg-config, a C compiler, Python 3 with pip" >&2
    return 1
  }
  local packages=(build-essential pkg-config libopenblas-dev ca-certificates) python
  # Another Python may do, as long as it brings pip.
  python=$(command -v python3 || true)
  if [ -z "$python" ] || ! "$python" -m pip --version > /dev/null 2>&1; then packages+=(python3 python3-pip); fi
  need_packages "${packages[@]}"
  if ! command -v cargo > /dev/null && [ -f "$HOME/.cargo/env" ]; then . "$HOME/.cargo/env"; fi
  command -v cargo > /dev/null || { echo "needs Rust 1.95 or newer: https://rustup.rs" >&2; return 1; }
}

# Runs `SCRIPT inside ARGUMENTS` on a screen in memory. A display server that never shows a window (then SCRIPT ends with 75) says nothing
# about the program: another one is started, at most three.
on_a_screen() {
  local attempt code script=$1
  shift
  for attempt in 1 2 3; do
    code=0
    xvfb-run --auto-servernum --server-args "-screen 0 1400x1000x24" "$script" inside "$@" || code=$?
    [ "$code" = 75 ] || return "$code"
    echo "attempt $attempt of 3: no window was shown" >&2
  done
  return 1
}

# Starts a window manager, as `manager`, and waits until it has put its name on the root window.
start_window_manager() {
  # On a Wayland desktop the window would open there, and not on the screen in memory.
  unset WAYLAND_DISPLAY WAYLAND_SOCKET
  openbox > /dev/null 2>&1 &
  manager=$!
  local end=$((SECONDS + 30))
  until timeout 5 xprop -root _NET_SUPPORTING_WM_CHECK 2> /dev/null | grep -q "window id"; do
    [ $SECONDS -lt $end ] || { echo "the window manager does not come up" >&2; break; }
    sleep 0.2
  done
}
