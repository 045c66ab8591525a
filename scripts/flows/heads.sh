# A text that is shorter than what was asked for; then its heads: keys after a click, the table sorted, pinned and filtered.

# The window shows the end of its name.
text=$scratch/texts-of-these-flows/short.txt
mkdir -p "${text%/*}"
printf 'Once upon a time there was a river. %.0s' $(seq 60) > "$text"
flow=short-text
begin --tokens 4k --text "$text"
rests "$screen"
# Letters are drawn a little otherwise by other versions of the system's libraries.
like scripts/flows/to-its-end.png 92x16+80+165 0.04

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
flow=key-back
press 1
like head "$below"

# A row of the table has its head, a box that pins it, and its measures.
rows=250x440+180+212 curves=770x260+440+660
flow=table
click 373 105
changed head "$rows" 0.05
flow=sorted
click 384 186
changed table "$rows" 0.002
flow=pinned
click 195 239
click 195 259
changed sorted "$curves" 0.002
rests "$screen"
flow=filtered
click 270 128
write pinned
changed pinned "$rows" 0.01
flow=grid-again
press ctrl+a BackSpace
press Escape
click 323 82
changed filtered "$rows" 0.05
rests "$screen"
