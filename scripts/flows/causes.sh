# Causes, and a head that is mended by a click.

flow=causes
press 0
changed generated "$tiles" 0.01
rests "$screen"
flow=found-causes
click 232 82
changed causes 480x640+190+150 0.02
rests "$screen"
flow=mended
click 315 279
changed found-causes 500x700+700+120
