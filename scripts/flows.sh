#!/usr/bin/env bash
# The most important flows through the real window, under a window manager on a screen in memory, with real keys and a real pointer.
# Each ends in a picture, of which a region must have changed, or must look as another. They are in scripts/flows/, a file for each part
# of the window, and go on from each other. `.ci/run` calls it; it takes about four minutes.
#   scripts/flows.sh [FOLDER]      pictures of every flow go into FOLDER
#   FLOWS="heads long" scripts/flows.sh     some parts: heads and long begin the window, the others go on from heads
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
window='' manager='' flow=nothing
trap 'kill $window $manager 2> /dev/null || true; rm -rf "$scratch"' EXIT
export XDG_CONFIG_HOME=$scratch/config
kept=$XDG_CONFIG_HOME/lm-infinite
start_window_manager
. scripts/flows/lib.sh

case ${FLOWS:-heads} in
  heads* | long*) ;;
  *) echo "FLOWS begins with heads or long: these begin the window, and the others go on from heads" >&2; exit 2 ;;
esac
for part in ${FLOWS:-heads timeline settings text export generate causes tiles runs long}; do
  from=$SECONDS
  . "scripts/flows/$part.sh"
  echo "$part: $((SECONDS - from)) s"
done
leave
echo "all flows are as they should be; pictures in $folder"
