# Every token's time along a text of several windows, and how well each window is predicted, by what happens at its end.
load ARG1."/settings"
call "theme.gp" 900 520 ARG1 ARG2 ARG3

title = "Past the window: ".model
subtitle = setting."; batch ".batch
footnote = "Left: median of the repetitions (".repetitions(0)."); a line that ends early stops with its window." \
    .left_out(0)."\nRight: the same held-out tokens for all, bars 95 % interval; 1 is the window run again " \
    ."for each token."
call "title.gp" title subtitle footnote
call "legend.gp" ""

set xlabel "Tokens of text" offset 0,0.2 textcolor rgb ink
stats table("tokens") using (column("context_tokens")) nooutput
set multiplot layout 1,2 margins screen 0.075,0.98,112.0 / height,legend_y - 47.0 / height spacing screen 0.08
call "axis.gp" "x" 0 STATS_max "linear"
call "axis.gp" "y" tokens_low tokens_high "auto"
call "panel_title.gp" "Time per token" "ms"
token(i) = of(i) && column("token") > 1 ? column("context_tokens") : NaN
plot for [i = 1:n_arms] table("tokens") using (token(i)):"median" with lines ls style_of(i) dt solid lw 0.7
unset label
unset arrow
unset logscale y
scale_note = ""
set ytics autofreq
set yrange [*:*]
call "panel_title.gp" "Perplexity of each window" "× recompute"
if (text_high eq "") {
    set label "not measured" at graph 0.5,0.5 center textcolor rgb faint
    set xrange [0:1]
    set yrange [0:2]
    plot NaN notitle
} else {
    call "axis.gp" "x" 0 text_high "linear"
    plot 1 with lines ls limit_style, \
        for [i = 1:n_arms] table("windows") using (of(i) ? column("context") : NaN):"low":(0):(column("high") - column("low")) \
        with vectors nohead ls style_of(i) dt solid lw 1.2, \
        for [i = 1:n_arms] table("windows") using (of(i) ? column("context") : NaN):"ratio" with linespoints ls style_of(i)
}
unset multiplot
