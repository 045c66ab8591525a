# A million tokens: Esc ends nothing, curves grow, pause, resume, stop; what is exported of a part is marked. Stop ends tokenizing, too.

leave
buttons=270x22+420+22
flow=long
# Long enough for a million tokens without being repeated: the caption of a run whose text repeats grows when that is known.
awk 'BEGIN { for (i = 0; i < 250000; i++) print "The " i "th of them was " i * i % 9973 " and, at last, " i % 7 ".\n" }' > "$scratch/long.txt"
begin --tokens 1M --text "$scratch/long.txt" --run
shot nothing
changed nothing "$timeline" 0.002
flow=escape
press Escape
changed long "$words" 0.0005
flow=logits
click 260 82
click 204 82
changed escape "$tiles" 0.002
flow=logits-grow
changed logits 960x680+240+150 0.0003
flow=paused
press space
rests "$screen"
flow=partial-export
press ctrl+e
like scripts/flows/partial.png 300x18+503+559 0.04
flow=goes-on
press Escape
press space
changed paused "$words" 0.0005
flow=stopped
click 626 33
# Run again is Run, and nothing is left to be paused.
changed goes-on "$buttons" 0.01
rests "$screen"
flow=resumed
press space
changed stopped "$buttons" 0.01
leave

flow=tokenizing
begin --tokens 100M --repeat --run
shot nothing
changed nothing "$timeline" 0.002
flow=tokenizing-stopped
click 641 33
changed tokenizing "$buttons" 0.01
rests "$screen"
# In hundredths of a second: a thread that goes on tokenizing takes a hundred in every second.
busy() { awk '{ print $14 + $15 }' "/proc/$window/stat"; }
idle() {
  local before
  before=$(busy)
  sleep 1
  [ $(($(busy) - before)) -lt 20 ]
}
until_holds "it still works after Stop" idle
