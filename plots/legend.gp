# call "legend.gp" X Y
# The paths that are drawn, in a row from screen position X, Y. A key of gnuplot would wrap at the width of one panel.
legend_x = ARG1 + 0
do for [i = 1:words(paths)] {
    if (strstrt(present." ", " ".word(paths, i)." ")) {
        set arrow from screen legend_x,screen ARG2 to screen legend_x + 40.0 / width,screen ARG2 \
            nohead ls line_style(i)
        set label word(paths, i) at screen legend_x + 20.0 / width,screen ARG2 point ls line_style(i) \
            offset screen 26.0 / width,-2.5 / height textcolor rgb ink noenhanced
        legend_x = legend_x + (85.0 + 8 * strlen(word(paths, i))) / width
    }
}
