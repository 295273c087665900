# call "panel.gp" NAME KEY TITLE UNIT SCALE
# One panel: the medians of NAME in the table `points` by arm against its column KEY, with bars over their
# interval. The x axis is the caller's. SCALE as in axis.gp.
panel_low = value(ARG1."_low")
panel_high = value(ARG1."_high")
call "axis.gp" "y" panel_low panel_high ARG5
unset label 100
if (panel_high eq "") { set label 100 "not measured" at graph 0.5,0.5 center textcolor rgb faint }
call "panel_title.gp" ARG3 ARG4
key = ARG2
low = ARG1."_low"
high = ARG1."_high"
median = ARG1."_median"
plot for [i = 1:n_arms] table("points") using (of(i) ? column(key) : NaN):(column(low)):(0):(column(high) - column(low)) \
    with vectors heads size screen 4.0 / width,90 ls style_of(i) dt solid lw 1.2, \
    for [i = 1:n_arms] table("points") using (of(i) ? column(key) : NaN):(column(median)) with linespoints ls style_of(i)
