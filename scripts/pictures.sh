#!/usr/bin/env bash
# Pictures of every view of the window, taken by the program itself on a screen in memory; with docs/images/window as folder they
# are those of the documentation. `.ci/run` calls it to see that the real program starts, runs, draws and leaves, and that it
# draws what the documentation shows: pictures of KNOWN may differ by 2 % (root mean square; the speeds alone make 0.4 %, two tabs
# differ by 10 %).
#   scripts/pictures.sh FOLDER [THEME [KNOWN]]
set -euo pipefail
folder=$(mkdir -p "${1:?a folder for the pictures}" && cd "$1" && pwd)
theme=${2:-light}
known=${3:+$(cd "$3" && pwd)}
cd "$(dirname "$0")/.."
. scripts/lib.sh

need_system
# Software OpenGL, and what winit opens while running.
need_packages imagemagick xvfb xauth libegl1 libgl1-mesa-dri libxkbcommon-x11-0 libxcursor1 libxi6 libxrandr2
cargo build --release --workspace --bin lm-infinite-gui
program=${CARGO_TARGET_DIR:-target}/release/lm-infinite-gui
# On a Wayland desktop the window would open there, and not on the screen in memory.
unset WAYLAND_DISPLAY WAYLAND_SOCKET
for tab in curves map features text generate theory; do
  picture=$folder/$tab-$theme.png
  rm -f "$picture"
  xvfb-run --auto-servernum --server-args "-screen 0 1400x1000x24" \
    timeout 120 "$program" --theme "$theme" --tab "$tab" --screenshot "$picture"
  [ -s "$picture" ] || { echo "no picture of the tab $tab" >&2; exit 1; }
  [ -n "$known" ] || continue
  # `compare` says `173.3 (0.0026)` and fails where anything differs.
  difference=$(compare -metric RMSE "$known/$tab-$theme.png" "$picture" null: 2>&1 || true)
  share=$(sed -n 's/.*(\(.*\)).*/\1/p' <<< "$difference")
  awk -v share="${share:-1}" 'BEGIN { exit !(share < 0.02) }' || {
    echo "the tab $tab does not look like $known/$tab-$theme.png: $difference" >&2
    exit 1
  }
done
echo "pictures in $folder"
