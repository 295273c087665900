# Every token's latency in one long generation: the mean of the repetitions, their range, and the least time possible.
call "theme.gp" 900 520 ARG1 ARG2 ARG3 ARG4 ARG5
load "runs.gp"

call "group.gp" "tokens" "tokens.csv" "path,token" "latency_ns" 1000000
if (tokens_groups == 0) { exit status 3 }
load "< awk -f sort.awk -f work.awk -f predictions.awk \"$rows/runs.csv\" \"$rows/limits.csv\""

title = "Latency of every token: ".model
subtitle = setting."; ".workload.", batch ".batch
footnote = (most == 1 ? "Lines: one repetition (n = 1), so no band." : \
    "Lines: mean of the repetitions (".repetitions(0)."). Bands: smallest to largest.") \
    ." Token 1 is the prompt's (TTFT).".left_out(0).(predictions == 0 ? "" : "\nLimits: the larger of bytes to read " \
    ."÷ measured bandwidth and flops ÷ measured peak, for each token's window.")
call "title.gp" title subtitle footnote
load "legend.gp"
if (predictions) { call "legend_entry.gp" limit_style "limit of each path" }

call "frame.gp" 0.075 0.98
set xlabel "New token" offset 0,0.2 textcolor rgb ink
low = smaller(predictions_low, tokens_low)
call "axis.gp" "y" low tokens_high "auto"
call "panel_title.gp" "Time per token" "ms"
set xrange [0:word(tokens_keys, words(tokens_keys)) * 1.02]
key = "token"
of(i) = strcol("path") eq word(paths, i) ? column(key) : NaN
points_every = words(tokens_keys) / 16 + 1
plot for [i = 1:words(paths)] $tokens using (of(i)):"low":"high" \
    with filledcurves ls line_style(i) fs transparent solid 0.25 noborder, \
    for [i = 1:words(paths)] $predictions using (of(i)):"limit_ms" with lines ls limit_style, \
    for [i = 1:words(paths)] $tokens using (of(i)):"mean" with linespoints ls line_style(i) lw 1.2 pi points_every
