#!/usr/bin/env bash
# The most important flows through the real window, under a window manager on a screen in memory, with real keys and a real pointer.
# Each ends in a picture, of which a region must have changed, or must not have. `.ci/run` calls it; it takes about two minutes.
#   scripts/flows.sh [FOLDER]      pictures of every flow go into FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

if [ "${1-}" != inside ]; then
  need_system
  need_packages imagemagick xvfb xauth xdotool openbox x11-utils libegl1 libgl1-mesa-dri libxkbcommon-x11-0 libxcursor1 libxi6 libxrandr2
  cargo build --release --workspace --bin lm-infinite-gui
  if [ $# -gt 0 ]; then mkdir -p "$1"; folder=$(cd "$1" && pwd); else folder=$(mktemp -d); fi
  on_a_screen "$0" "$folder"
  exit
fi

folder=$2
program=${CARGO_TARGET_DIR:-target}/release/lm-infinite-gui
scratch=$(mktemp -d)
window='' manager=''
trap 'kill $window $manager 2> /dev/null || true; rm -rf "$scratch"' EXIT
# The window is that of somebody who has seen the tour and nothing else.
export XDG_CONFIG_HOME=$scratch/config
kept=$XDG_CONFIG_HOME/lm-infinite
start_window_manager

# Regions of the screen: width × height + left + top.
tiles=1030x810+180+100 runs=176x860+0+46 timeline=1400x70+0+925 inspector=185x860+1213+46 words=465x24+930+22 screen=1400x975+0+24
below=770x300+440+610

is_there() { kill -0 "$window" 2> /dev/null || { echo "$flow: the window has ended" >&2; exit 1; }; }
press() { xdotool key --clearmodifiers "$@"; sleep 0.4; }
click() { xdotool mousemove "$1" "$2" sleep 0.1 click 1; sleep 0.3; }
away() { xdotool mousemove 700 8; sleep 0.3; }
palette() {
  press ctrl+p
  xdotool type --delay 20 "$1"
  sleep 0.5
  press Return
}
shot() { import -window root "$folder/$1.png"; }
# Mean difference of two pictures in a region, from 0 to 1; the second may be a file that shows the region alone.
difference() {
  convert "$folder/$1.png" -crop "$3" +repage "$scratch/a.png"
  case $2 in
    *.png) cp "$2" "$scratch/b.png" ;;
    *) convert "$folder/$2.png" -crop "$3" +repage "$scratch/b.png" ;;
  esac
  { compare -metric MAE "$scratch/a.png" "$scratch/b.png" null: 2>&1 || true; } | sed -n 's/.*(\(.*\)).*/\1/p'
}
exceeds() { awk -v value="${1:-0}" -v least="$2" 'BEGIN { exit !(value > least) }'; }
# The picture of the flow is taken again and again, for a minute, until what differs from an earlier one in a region is more, or less,
# than a bound.
until_differs() {
  local before=$1 region=$2 wanted=$3 bound=$4 otherwise=$5 end=$((SECONDS + 60)) by is
  away
  while :; do
    shot "$flow"
    by=$(difference "$before" "$flow" "$region")
    if exceeds "$by" "$bound"; then is=more; else is=less; fi
    [ $is != "$wanted" ] || break
    is_there
    [ $SECONDS -lt $end ] || { echo "$flow: the region $region $otherwise $before ($by)" >&2; exit 1; }
    sleep 0.3
  done
}
changed() { until_differs "$1" "$2" more "${3:-0.002}" "has not changed since"; }
like() { until_differs "$1" "$2" less "${3:-0.002}" "does not look as in"; }
# Nothing moves in a region any more.
rests() {
  local region=$1 end=$((SECONDS + 60)) by=1
  away
  shot "$flow"
  while :; do
    sleep 1.5
    cp "$folder/$flow.png" "$folder/before.png"
    shot "$flow"
    by=$(difference before "$flow" "$region")
    exceeds "$by" 0 || break
    is_there
    [ $SECONDS -lt $end ] || { echo "$flow: the region $region does not come to rest ($by)" >&2; exit 1; }
  done
  rm -f "$folder/before.png"
}
# Begins the program, and puts its window where the regions are.
begin() {
  local shown='' end=$((SECONDS + 60))
  rm -rf "$kept"
  mkdir -p "$kept"
  echo '{ "tour_offered": true, "dark": false }' > "$kept/window.json"
  "$program" --theme light "$@" &
  window=$!
  until [ -n "$shown" ]; do
    is_there
    [ $SECONDS -lt $end ] || { echo "the window is not shown" >&2; exit 75; }
    sleep 0.3
    shown=$(timeout 5 xdotool search --onlyvisible --pid "$window" 2> /dev/null | head -1 || true)
  done
  xdotool windowmove "$shown" 0 0 windowsize "$shown" 1400 980
  timeout 5 xdotool windowactivate --sync "$shown" 2> /dev/null || true
  sleep 1
  away
}

# ── A text that is shorter than what was asked for
flow=nothing
printf 'Once upon a time there was a river. %.0s' $(seq 60) > "$scratch/short.txt"
flow=short-text
begin --tokens 4k --text "$scratch/short.txt"
rests "$screen"
# The row of the run says so: letters are drawn a little otherwise by other versions of the system's libraries.
by=$(difference short-text scripts/flows/to-its-end.png 92x16+80+165)
exceeds "$by" 0.04 && { echo "$flow: the row does not say that the text was read to its end ($by)" >&2; exit 1; }

# ── Keys go on after a click on a head
flow=layout-heads
press F3
changed short-text "$tiles" 0.02
rests "$screen"
flow=head
click 289 658
changed layout-heads "$inspector"
rests "$screen"
flow=key-after-a-click
press 3
changed head "$below" 0.005
press 1

# ── The cursor of the timeline, which everything follows
flow=cursor
rests "$screen"
cp "$folder/cursor.png" "$folder/before-the-cursor.png"
click 757 980
changed before-the-cursor "$timeline" 0.0005
changed before-the-cursor "$inspector"

# ── The palette, there and back
flow=before-dark
rests "$screen"
flow=palette-dark
palette "Dark"
changed before-dark "$screen" 0.2
flow=palette-light
palette "Light"
like before-dark "$screen"

# ── What is of other settings is veiled; undo takes the change back
flow=stale
palette "Model tiny-alibi"
changed before-dark "$tiles" 0.005
flow=undo
press ctrl+z
like before-dark "$tiles"

# ── Search in the text
flow=layout-text
press F4
changed before-dark "$tiles" 0.02
rests "$screen"
flow=search
click 372 105
xdotool type --delay 30 river
rests "$screen"
cp "$folder/search.png" "$folder/before-the-search.png"
press Return
changed before-the-search "$timeline" 0.0003
press Escape

# ── Export
flow=export
press F2
rests "$screen"
cp "$folder/export.png" "$folder/before-the-export.png"
press ctrl+e
changed before-the-export "$tiles" 0.004
rests "$screen"
click 693 518
press ctrl+a
xdotool type --delay 10 "$scratch/figures"
click 573 541
end=$((SECONDS + 60))
until [ -s "$scratch/figures/nll_by_position.png" ]; do
  is_there
  [ $SECONDS -lt $end ] || { shot export; echo "export: no picture was written" >&2; exit 1; }
  sleep 0.3
done
shot export
flow=export-closed
press Escape
press Escape
like before-the-export "$tiles"

# ── A run that makes way is kept
flow=history
press ctrl+r
changed export-closed 176x250+0+660
rests "$screen"

# ── Causes, and a head that is mended by a click
flow=causes
press 0
changed history "$tiles" 0.01
rests "$screen"
cp "$folder/causes.png" "$folder/before-the-causes.png"
click 232 82
changed before-the-causes 480x640+190+150 0.02
rests "$screen"
cp "$folder/causes.png" "$folder/before-the-mend.png"
flow=mended
click 315 279
changed before-the-mend 500x700+700+120
kill "$window" 2> /dev/null
wait "$window" 2> /dev/null || true

# ── Esc ends nothing; pause, go on, stop
flow=long
begin --tokens 1M --repeat --run
shot nothing
changed nothing "$timeline" 0.002
flow=escape
press Escape
shot before-escape
sleep 2
changed before-escape "$words" 0.0005
flow=paused
press space
rests "$screen"
flow=goes-on
press space
changed paused "$words" 0.0005
flow=stopped
click 548 33
rests "$screen"
changed nothing "$tiles" 0.005
echo "all flows are as they should be; pictures in $folder"
