# A tile is docked elsewhere; after a kill everything is as it was left.

flow=heads-again
press F3
# These are not kept.
palette "Let the cursor go"
palette "All heads"
changed mended "$tiles" 0.02
rests "$screen"
flow=docked
drag 820 606 480 480
changed heads-again "$tiles" 0.02
rests "$screen"
# How it is left is written every few seconds.
saved() { grep -q '"Theory"' <(tr -d ' \n' < "$kept/window.json" | grep -o '{"tabs":{"active":0,"tabs":\[{"tile":"Theory"}\]}}'); }
until_holds "the arrangement was not kept" saved
flow=restored
leave -KILL
begin_again
rests "$screen"
like docked 455x540+180+46 0.005
like scripts/flows/to-its-end.png 92x16+80+165 0.04
