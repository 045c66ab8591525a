# The cursor of the timeline, which everything follows: dragged, and played.

flow=dragged
drag 300 985 757 985
changed grid-again "$timeline" 0.0005
changed grid-again "$inspector"
rests "$screen"
# The cursor goes on by itself, and rests where it is held.
flow=played
press p
changed dragged "$timeline" 0.0005
flow=goes-on-playing
changed played "$timeline" 0.0005
flow=held
press p
rests "$timeline"
