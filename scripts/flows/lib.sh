# What the parts of the flows share: sourced, not run. `program`, `folder`, `scratch` and `kept` are set; `window` is its process.

# Regions of the screen: width × height + left + top.
tiles=1030x810+180+100 runs=176x860+0+46 timeline=1400x70+0+925 inspector=185x860+1213+46 words=465x24+930+22 screen=1400x975+0+24
below=770x300+440+610

is_there() { kill -0 "$window" 2> /dev/null || { echo "$flow: the window has ended" >&2; exit 1; }; }
press() { xdotool key --clearmodifiers "$@"; sleep 0.4; }
click() { xdotool mousemove "$1" "$2" sleep 0.1 click 1; sleep 0.3; }
# From one place to another, as a hand does: two places between, since what is dragged shows where it would be let go.
drag() {
  xdotool mousemove "$1" "$2" sleep 0.1 mousedown 1 sleep 0.2
  xdotool mousemove $((($1 + $3) / 2)) $((($2 + $4) / 2)) sleep 0.2 mousemove "$3" "$4" sleep 0.3 mouseup 1
  sleep 0.3
}
write() { xdotool type --delay 20 "$1"; sleep 0.3; }
away() { xdotool mousemove 700 8; sleep 0.3; }
palette() {
  press ctrl+p
  xdotool type --delay 20 "$1"
  sleep 0.5
  press Return
}
shot() { import -window root "$folder/$1.png"; }
# A region of a picture of the flows; a file of its own shows the region alone.
region_of() { case $1 in *.png) convert "$1" +repage "$3" ;; *) convert "$folder/$1.png" -crop "$2" +repage "$3" ;; esac; }
# Mean difference of two pictures in a region, from 0 to 1.
difference() {
  region_of "$1" "$3" "$scratch/a.png"
  region_of "$2" "$3" "$scratch/b.png"
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
# Waits, for a minute, until a condition holds.
until_holds() {
  local what=$1 end=$((SECONDS + 60))
  shift
  until "$@"; do
    is_there
    [ $SECONDS -lt $end ] || { shot "$flow"; echo "$flow: $what" >&2; exit 1; }
    sleep 0.3
  done
}
# Begins the program as somebody who has seen the tour and nothing else, and puts its window where the regions are.
begin() {
  rm -rf "$kept"
  mkdir -p "$kept"
  echo '{ "tour_offered": true, "dark": false }' > "$kept/window.json"
  begin_again --theme light "$@"
}
# The same, as it was left.
begin_again() {
  local shown='' end=$((SECONDS + 60))
  "$program" "$@" &
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
leave() {
  [ -n "$window" ] || return 0
  kill "${1:--TERM}" "$window" 2> /dev/null || true
  wait "$window" 2> /dev/null || true
  window=''
}
