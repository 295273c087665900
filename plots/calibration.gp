# What kvbench calibrate found: how often ab says "slower" of what is, and of what is not, by the time that it is given.
load ARG1."/settings"
call "theme.gp" 900 480 ARG1 ARG2 ARG3

slowdown_name(i) = slowdown_pct[i] > 0 ? sprintf("%g %% slower: found", slowdown_pct[i]) : "same program: called different"
title = "How surely two programs are told apart here"
subtitle = "verdicts of kvbench ab on this machine, by its time and by what is true"
footnote = sprintf("%.0f contests a point, put together from one recording of this machine; bars: 95 %% intervals of the share.", \
    contests)."\nGrey: the 2 % of false verdicts that ab may have at most."
call "title.gp" title subtitle footnote
do for [i = 1:n_slowdowns] { call "legend_entry.gp" (i) slowdown_name(i) }

call "frame.gp" 0.075 0.97
call "axis.gp" "x" time_low time_high "log"
set xtics ("15 s" 15, "30 s" 30, "1 min" 60, "2 min" 120, "4 min" 240, "8 min" 480)
set yrange [-3:104]
set ytics ("0" 0, "20" 20, "40" 40, "60" 60, "80" 80, "100" 100)
set xlabel "Time of ab" offset 0,0.2 textcolor rgb ink
scale_note = ""
call "panel_title.gp" "Verdicts" "% of contests"
set arrow from graph 0,first 2 to graph 1,first 2 nohead ls limit_style
plot for [i = 1:n_slowdowns] table("power") using (column("slowdown") == i ? column("time_s") : NaN):"found":"low":"high" \
    with yerrorbars ls i dt solid pt 0 notitle, \
    for [i = 1:n_slowdowns] table("power") using (column("slowdown") == i ? column("time_s") : NaN):"found" \
    with linespoints ls i
