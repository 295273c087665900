# call "frame.gp" LEFT RIGHT
# The axes of a figure with one panel, between the legend and a footnote of two lines.
frame_left = ARG1 + 0
frame_right = ARG2 + 0
set lmargin at screen frame_left
set rmargin at screen frame_right
set tmargin at screen legend_y - 47.0 / height
set bmargin at screen 112.0 / height
