# A word is found in the text, and the next token that one policy loses more than the other.

flow=layout-text
press F4
changed before-dark "$tiles" 0.02
rests "$screen"
flow=search
click 372 105
write river
rests "$screen"
flow=found
press Return
changed search "$timeline" 0.0003
rests "$screen"
flow=next-failure
press Escape
click 597 105
changed found "$timeline" 0.0003
