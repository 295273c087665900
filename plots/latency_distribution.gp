# The cumulative distribution of step latencies, with p50, p95 and p99.
call "theme.gp" 900 560 ARG1 ARG2 ARG3 ARG4 ARG5
load "runs.gp"
load "< awk -f sort.awk -f distribution.awk \"$rows/tokens.csv\""
if (steps_low eq "") { exit status 3 }

title = "Distribution of step latencies: ".model
subtitle = setting."; ".workload.", batch ".batch
footnote = "Every step of every repetition, without the first token (TTFT).".left_out(0) \
    ."\nPoints: percentiles, each where at least one step lies beyond it."
call "title.gp" title subtitle footnote

# A legend of one line a path, with its percentiles.
do for [path in paths] {
    samples = 0
    values = ""
    stats $percentiles using (strcol("path") eq path ? (samples = column("n"), \
        values = values.sprintf(",  p%d %.4g ms", column("percentile"), column("ms")), 0) : 0) nooutput
    legend_style = style_of(path)
    legend_text = sprintf("%s:  n = %d%s", path, samples, values)
    if (samples > 0) {
        legend_x = 0.03
        call "legend_entry.gp" legend_style legend_text
        legend_y = legend_y - 20.0 / height
    }
}
legend_y = legend_y + 20.0 / height

call "frame.gp" 0.075 0.98
scale = steps_low > 0 && steps_high > 5 * steps_low ? "log" : "linear"
call "axis.gp" "x" steps_low steps_high scale
set xlabel "Time per token (ms".scale_note.")" offset 0,0.2 textcolor rgb ink
scale_note = ""
call "panel_title.gp" "Share of the steps that took at most so long" ""
set yrange [0:1.02]
set ytics ("0" 0, "25 %%" 0.25, "50 %%" 0.5, "75 %%" 0.75, "95 %%" 0.95)
small = font("DejaVu Sans", 11)
of(path) = strcol("path") eq path ? column("ms") : NaN
plot for [path in paths] $distribution using (of(path)):"share" with lines ls style_of(path), \
    for [path in paths] $percentiles using (of(path)):(column("percentile") / 100.0) \
    with points ls style_of(path) ps 1.3, \
    for [path in paths] $percentiles using (of(path)):(column("percentile") / 100.0): \
    (sprintf("p%d", column("percentile"))) with labels right font small offset screen -8.0 / width,0 \
    textcolor ls style_of(path)
