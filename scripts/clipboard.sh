#!/usr/bin/env bash
# The real window on a screen in memory, by its keys alone: what is copied in it reaches other programs, and what they copy reaches
# it. `.ci/run` calls it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

if [ "${1-}" != inside ]; then
  need_system
  need_packages xvfb xauth xclip xdotool openbox x11-utils libegl1 libgl1-mesa-dri libxkbcommon-x11-0 libxcursor1 libxi6 libxrandr2
  cargo build --release --workspace --bin lm-infinite-gui
  on_a_screen "$0"
  exit
fi

start_window_manager
"${CARGO_TARGET_DIR:-target}/release/lm-infinite-gui" --tokens 600 &
window=$!
trap 'kill $window $manager 2> /dev/null || true' EXIT
# Nothing waits without an end: how long the window takes to be shown, to draw and to answer depends on the machine. Each flow is
# tried until what it should have copied is there, for a minute.
is_there() { kill -0 "$window" 2> /dev/null || { echo "the window has ended" >&2; exit 1; }; }
not_shown() {
  echo "the window is not shown; windows, then processes:" >&2
  timeout 5 xwininfo -root -tree >&2 || echo "the display server does not answer" >&2
  ps -o pid,stat,wchan:24,time,args -p "$window" -p "$manager" >&2 || true
  exit 75
}
shown='' end=$((SECONDS + 60))
until [ -n "$shown" ]; do
  is_there
  [ $SECONDS -lt $end ] || not_shown
  sleep 0.5
  shown=$(timeout 5 xdotool search --onlyvisible --pid "$window" 2> /dev/null | head -1 || true)
done
press() { xdotool key --clearmodifiers "$@"; sleep 0.5; }
copied() { timeout 10 xclip -selection clipboard -o 2> /dev/null || true; }
until_copied() {
  local wanted=$1 flow=$2 what=$3 end=$((SECONDS + 60))
  while "$flow"; [ "$(copied)" != "$wanted" ]; do
    is_there
    [ $SECONDS -lt $end ] || { echo "$what: '$(copied)' in place of '$wanted'" >&2; exit 1; }
  done
}

# The field of "Open results…" has the keyboard.
copy() {
  timeout 5 xdotool windowactivate --sync "$shown" 2> /dev/null || true
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
