# call "legend_entry.gp" LINE_STYLE TEXT
# An entry of the legend at legend_x, legend_y of the screen, where title.gp starts it; the next one is to the right, or
# below where it would not fit. A key of gnuplot would wrap at the width of one panel.
entry_style = ARG1 + 0
entry_width = (75.0 + 7.6 * strlen(ARG2)) / width
if (legend_x > legend_left && legend_x + entry_width > 1.03) {
    legend_x = legend_left
    legend_y = legend_y - 20.0 / height
}
set arrow from screen legend_x,screen legend_y to screen legend_x + 40.0 / width,screen legend_y \
    nohead ls entry_style front
set label ARG2 at screen legend_x + 20.0 / width,screen legend_y point ls entry_style \
    offset screen 26.0 / width,-2.5 / height textcolor rgb ink noenhanced
legend_x = legend_x + entry_width
