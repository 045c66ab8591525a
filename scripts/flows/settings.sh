# The palette, there and back; what is of other settings is veiled, and undo takes the change back.

flow=before-dark
rests "$screen"
flow=palette-dark
palette "Dark"
changed before-dark "$screen" 0.2
flow=palette-light
palette "Light"
like before-dark "$screen"
flow=stale
palette "Model tiny-alibi"
changed before-dark "$tiles" 0.005
flow=undo
press ctrl+z
like before-dark "$tiles"
