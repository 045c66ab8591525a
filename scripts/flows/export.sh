# A figure is written.

flow=before-the-export
press F2
rests "$screen"
flow=export
press ctrl+e
changed before-the-export "$tiles" 0.004
rests "$screen"
click 693 518
press ctrl+a
xdotool type --delay 10 "$scratch/figures"
click 573 541
until_holds "no picture was written" [ -s "$scratch/figures/nll_by_position.png" ]
shot export
flow=export-closed
press Escape
press Escape
like before-the-export "$tiles"
