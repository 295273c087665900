# load "legend.gp"
# The paths that are drawn.
do for [i = 1:words(paths)] {
    legend_text = word(paths, i)
    legend_style = line_style(i)
    if (has_path(legend_text)) { call "legend_entry.gp" legend_style legend_text }
}
