# call "panel.gp" NAME KEY TITLE UNIT SCALE
# One panel: the medians of the datablock $NAME (group.gp) by path against its column KEY, with bars from the smallest
# to the largest. The x axis is the caller's. SCALE as in axis.gp.
panel_low = value(ARG1."_low")
panel_high = value(ARG1."_high")
call "axis.gp" "y" panel_low panel_high ARG5
unset label 100
if (panel_high eq "") { set label 100 "not measured" at graph 0.5,0.5 center textcolor rgb faint }
call "panel_title.gp" ARG3 ARG4
key = ARG2
plot for [i = 1:words(paths)] $@ARG1 \
    using (strcol("path") eq word(paths, i) ? column(key) : NaN):"low":(0):(column("high") - column("low")) \
    with vectors heads size screen 4.0 / width,90 ls line_style(i) dt solid lw 1.2, \
    for [i = 1:words(paths)] $@ARG1 \
    using (strcol("path") eq word(paths, i) ? column(key) : NaN):"median" with linespoints ls line_style(i)
