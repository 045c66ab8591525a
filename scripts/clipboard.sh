#!/usr/bin/env bash
# The real window on a screen in memory, by its keys alone: what is copied in it reaches other programs, and what they copy reaches
# it. `.ci/run` calls it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

if [ "${1-}" != inside ]; then
  need_system
  need_packages xvfb xauth xclip xdotool openbox libegl1 libgl1-mesa-dri libxkbcommon-x11-0 libxcursor1 libxi6 libxrandr2
  cargo build --release --workspace --bin lm-infinite-gui
  exec xvfb-run --auto-servernum --server-args "-screen 0 1400x1000x24" "$0" inside
fi

openbox > /dev/null 2>&1 &
manager=$!
"${CARGO_TARGET_DIR:-target}/release/lm-infinite-gui" --tokens 600 &
window=$!
trap 'kill $window $manager 2> /dev/null || true' EXIT
# A window that is shown, and drawn.
timeout 60 xdotool search --sync --onlyvisible --pid "$window" > /dev/null
sleep 3
press() { xdotool key --clearmodifiers "$@"; sleep 0.5; }
copied() { timeout 10 xclip -selection clipboard -o; }
# The field of "Open results…" has the keyboard.
press ctrl+o
press ctrl+a
xdotool type --delay 30 hello
sleep 0.5
press ctrl+a
press ctrl+c
[ "$(copied)" = hello ] || { echo "copied in the window, pasted elsewhere: '$(copied)'" >&2; exit 1; }
printf 'from elsewhere' | xclip -selection clipboard -i
press ctrl+a
press ctrl+v
press End
xdotool type --delay 30 d
sleep 0.5
press ctrl+a
press ctrl+c
[ "$(copied)" = "from elsewhered" ] || { echo "copied elsewhere, pasted in the window: '$(copied)'" >&2; exit 1; }
echo "the clipboard is shared with other programs"
