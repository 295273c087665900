# Every token's latency in one long generation: the mean of the repetitions, their range, and the least time possible.
load ARG1."/settings"
call "theme.gp" 900 520 ARG1 ARG2 ARG3

title = "Latency of every token: ".model
subtitle = setting."; ".workload.", batch ".batch
footnote = (most == 1 ? "Lines: one repetition (n = 1), so no band." : \
    "Lines: mean of the repetitions (".repetitions(0)."). Bands: smallest to largest.") \
    ." Token 1 is the prompt's (TTFT).".left_out(0).(n_limits == 0 ? "" : "\nLimits: the larger of bytes to read " \
    ."÷ bandwidth and flops ÷ peak, for each token's window.".(token_faults == 0 ? "" : \
    sprintf(" None of %d tokens that were faster.", token_faults)))
call "title.gp" title subtitle footnote
call "legend.gp" ""
if (n_limits) { call "legend_entry.gp" limit_style "limit of each path" }

call "frame.gp" 0.075 0.98
set xlabel "New token" offset 0,0.2 textcolor rgb ink
low = smaller(limit_low, tokens_low)
call "axis.gp" "y" low tokens_high "auto"
call "panel_title.gp" "Time per token" "ms"
set xrange [0:n_tokens * 1.02]
token(i) = of(i) ? column("token") : NaN
points_every = int(n_tokens) / 16 + 1
plot for [i = 1:n_arms] table("tokens") using (token(i)):"low":"high" \
    with filledcurves ls style_of(i) fs transparent solid 0.25 noborder, \
    for [i = 1:n_arms] table("tokens") using (token(i)):"limit_ms" with lines ls limit_style, \
    for [i = 1:n_arms] table("tokens") using (token(i)):"mean" with linespoints ls style_of(i) lw 1.2 pi points_every
