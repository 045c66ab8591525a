# Runs are rows: the text repeats, an earlier run is shown again, one is duplicated, differences are of any two, and what is typed is
# read without Enter.

flow=learn
press F2
rests "$screen"
flow=repeats
click 190 33
click 125 152
press ctrl+r
press Escape
like scripts/flows/repeats.png 140x16+82+165 0.04
rests "$screen"
flow=recalled
click 146 796
like scripts/flows/to-its-end.png 92x16+80+165 0.04
rests "$screen"

flow=duplicated
click 45 428
click 53 593
changed recalled "$runs" 0.005
press ctrl+r
flow=three-runs
changed recalled "$tiles" 0.001
rests "$screen"
flow=difference
click 148 467
click 148 540
changed three-runs "$timeline" 0.002

flow=not-yet
click 350 33
press ctrl+a
write 200
click 425 33
like scripts/flows/not-yet.png 220x16+6+74 0.04
