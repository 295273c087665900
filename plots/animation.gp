# call "animation.gp" FOLDER WIDTH HEIGHT DELAY
# What the animated pictures share: the picture itself, FOLDER/dashboard.gif, of so many pixels and hundredths of a
# second a frame, and where things are on it.
#
# A frame is laid over the ones before it: what it does not draw is transparent, and stays. So a frame draws only what
# is new, on white that wipes out what was there. The colour of the terminal's background is the transparent one.
picture = ARG1."/dashboard.gif"
frame_delay = ARG4 + 0
call "theme.gp" ARG2 ARG3 ARG1 picture "svg" 0 0
set terminal gif animate transparent delay frame_delay loop 0 size width,height font "DejaVu Sans,9" \
    background "#fefefe" enhanced
font(face, points) = sprintf("%s,%g", face, points)
red = "#d55e00"
blue = "#0072b2"

# All places are in pixels from the upper left corner. These are commands for `eval`: a panel whose axes fill a box, and
# a filled box behind what the next plot draws.
across(pixels) = 1.0 * pixels / width
down(pixels) = 1 - 1.0 * pixels / height
panel(left, top, right, bottom) = sprintf("set lmargin at screen %.9g; set rmargin at screen %.9g; ".\
    "set tmargin at screen %.9g; set bmargin at screen %.9g", across(left), across(right), down(top), down(bottom))
fill(number, left, top, right, bottom, colour) = sprintf("set object %d rectangle from screen %.9g,%.9g ".\
    "to screen %.9g,%.9g behind fillcolor rgb '%s' fillstyle solid noborder", \
    number, across(left), down(bottom), across(right), down(top), colour)

cut(text, most) = strlen(text) > most ? text[1:most - 1]."…" : text
