# The cumulative distribution of step latencies, with p50, p95 and p99.
load ARG1."/settings"
call "theme.gp" 900 560 ARG1 ARG2 ARG3

title = "Distribution of step latencies: ".model
subtitle = setting."; ".workload.", batch ".batch
footnote = "Every step of every repetition, without the first token (TTFT).".left_out(0) \
    ."\nPoints: percentiles, each where at least one step lies beyond it."
call "title.gp" title subtitle footnote

# A legend of one line an arm, with its percentiles.
do for [i = 1:n_arms] {
    samples = 0
    values = ""
    stats table("percentiles") using (of(i) ? (samples = column("n"), \
        values = values.sprintf(",  p%d %.4g ms", column("percentile"), column("ms")), 0) : 0) nooutput
    legend_style = style_of(i)
    legend_text = sprintf("%s:  n = %d%s", arm[i], samples, values)
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
call "panel_title.gp" "Share of the steps done within that time" ""
set yrange [0:1.02]
set ytics ("0" 0, "25 %%" 0.25, "50 %%" 0.5, "75 %%" 0.75, "95 %%" 0.95)
small = font("DejaVu Sans", 11)
ms(i) = of(i) ? column("ms") : NaN
plot for [i = 1:n_arms] table("distribution") using (ms(i)):"share" with lines ls style_of(i), \
    for [i = 1:n_arms] table("percentiles") using (ms(i)):(column("percentile") / 100.0) \
    with points ls style_of(i) ps 1.3, \
    for [i = 1:n_arms] table("percentiles") using (ms(i)):(column("percentile") / 100.0): \
    (sprintf("p%d", column("percentile"))) with labels right font small offset screen -8.0 / width,0 \
    textcolor ls style_of(i)
