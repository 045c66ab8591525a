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
# A window that is shown. How long it takes to draw and to answer depends on the machine: each flow is tried until what it should
# have copied is there, for a minute.
shown=$(timeout 60 xdotool search --sync --onlyvisible --pid "$window" | head -1)
press() { xdotool key --clearmodifiers "$@"; sleep 0.5; }
copied() { timeout 10 xclip -selection clipboard -o 2> /dev/null || true; }
until_copied() {
  local wanted=$1 flow=$2 what=$3 end=$((SECONDS + 60))
  while "$flow"; [ "$(copied)" != "$wanted" ]; do
    kill -0 "$window" || { echo "the window has ended" >&2; exit 1; }
    [ $SECONDS -lt $end ] || { echo "$what: '$(copied)' in place of '$wanted'" >&2; exit 1; }
  done
}

# The field of "Open results…" has the keyboard.
copy() {
  xdotool windowactivate --sync "$shown" 2> /dev/null || true
  press Escape
  press ctrl+o
  press ctrl+a
  xdotool type --delay 30 hello
  sleep 0.5
  press ctrl+a
  press ctrl+c
}
until_copied hello copy "copied in the window, pasted elsewhere"

# A letter more shows that the window copied anew, and that what lies on the clipboard is not what was put there.
paste() {
  printf 'from elsewhere' | xclip -selection clipboard -i
  press ctrl+a
  press ctrl+v
  press End
  xdotool type --delay 30 d
  sleep 0.5
  press ctrl+a
  press ctrl+c
}
until_copied "from elsewhered" paste "copied elsewhere, pasted in the window"
echo "the clipboard is shared with other programs"
