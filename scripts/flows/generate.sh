# Every policy goes on with words of one's own.

flow=generate
press 5
changed export-closed "$tiles" 0.01
rests "$screen"
flow=own-prompt
click 318 82
changed generate "$tiles" 0.002
rests "$screen"
flow=generated
click 740 120
write "In the beginning there was a river, and"
click 220 156
changed own-prompt 1030x500+180+220 0.01
rests "$screen"
