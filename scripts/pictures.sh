#!/usr/bin/env bash
# Pictures of every view of the window, taken by the program itself on a screen in memory; with docs/images/window as folder they
# are those of the documentation. `.ci/run` calls it to see that the real program starts, runs, draws and leaves.
#   scripts/pictures.sh FOLDER [THEME]
set -euo pipefail
folder=$(mkdir -p "${1:?a folder for the pictures}" && cd "$1" && pwd)
theme=${2:-light}
cd "$(dirname "$0")/.."
. scripts/lib.sh

need_system
# Software OpenGL, and what winit opens while running.
need_packages xvfb xauth libegl1 libgl1-mesa-dri libxkbcommon-x11-0 libxcursor1 libxi6 libxrandr2
cargo build --release --workspace --bin lm-infinite-gui
program=${CARGO_TARGET_DIR:-target}/release/lm-infinite-gui
for tab in curves map features text generate theory; do
  picture=$folder/$tab-$theme.png
  rm -f "$picture"
  xvfb-run --auto-servernum --server-args "-screen 0 1400x1000x24" \
    timeout 120 "$program" --theme "$theme" --tab "$tab" --screenshot "$picture"
  [ -s "$picture" ] || { echo "no picture of the tab $tab" >&2; exit 1; }
done
echo "pictures in $folder"
