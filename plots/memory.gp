# Memory by batch and length: keys and values in use and reserved, and the whole process. A panel a batch;
# for phones ("narrow") they stand below each other.
load ARG1."/settings"
narrow = ARG3 eq "narrow"
n_panels = words(batch_keys)
# Full rows, where there are some: four panels are two by two.
n_columns = narrow ? 1 : n_panels < 3 ? n_panels : n_panels % 3 == 0 || n_panels > 4 ? 3 : 2
n_rows = (n_panels + n_columns - 1) / n_columns
height_of_rows = (narrow ? 340 : 212) + 250 * n_rows
call "theme.gp" (narrow ? 420 : 900) height_of_rows ARG1 ARG2 ARG3

title = (narrow ? "Memory: " : "Memory by batch and length: ").model
subtitle = setting
footnote = "KV memory: keys and values in use and reserved, of the paths that keep any. RSS: peak of the whole " \
    ."process.\nPoints: ".(most == 1 ? "one repetition" : "median of the repetitions")." (".repetitions(0).")." \
    .left_out(0)
call "title.gp" title subtitle footnote
n_keeping = 0
do for [i = 1:n_arms] { n_keeping = n_keeping + (keeps[i] > 0) }
in_its_colour = n_keeping > 1 ? ", in the colour of each" : ""
legend_text = "KV in use".in_its_colour
call "legend_entry.gp" memory_style legend_text
call "legend_entry.gp" reserved_style "KV reserved"
call "legend.gp" "RSS, "

# What keeps nothing is not drawn.
lowest = kept_low ne "" ? kept_low : rss_low
highest = larger(rss_high, larger(live_high, reserved_high))
call "axis.gp" "y" lowest highest "auto"
call "log2_axis.gp" context_keys 0.12
set multiplot layout n_rows,n_columns margins screen (narrow ? 0.13 : 0.065),(narrow ? 0.95 : 0.98), \
    (narrow ? 72.0 + 18 * footer_lines : 112.0) / height,legend_y - 47.0 / height \
    spacing screen 0.06,screen 75.0 / height
do for [panel = 1:n_panels] {
    batch = word(batch_keys, panel) + 0
    panel_name = "Batch ".word(batch_keys, panel)
    call "panel_title.gp" panel_name "MiB"
    set xlabel (panel > n_panels - n_columns ? "Tokens in the sequence" : "") offset 0,0.2 textcolor rgb ink
    context(i) = of(i) && column("batch") == batch ? column("context_tokens") : NaN
    kept(i, name) = column(name) > 0 ? context(i) : NaN
    plot for [i = 1:n_arms] table("points") using (kept(i, "reserved_median")):"reserved_median" \
        with linespoints ls reserved_style lc rgb memory_colour(i, "#b07cba"), \
        for [i = 1:n_arms] table("points") using (kept(i, "live_median")):"live_median" \
        with linespoints ls memory_style lc rgb memory_colour(i, "#984ea3"), \
        for [i = 1:n_arms] table("points") using (context(i)):"rss_median" with linespoints ls style_of(i)
    unset label
    unset arrow
}
unset multiplot
