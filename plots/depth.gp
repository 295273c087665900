# Step latency against context: every path, and closer up those that keep a cache, with what reading it must cost.
call "theme.gp" 900 512 ARG1 ARG2 ARG3 ARG4 ARG5
load "runs.gp"

call "group.gp" "ttpt" "runs.csv" "path,context_tokens" "ttpt_ms" 1
if (ttpt_groups == 0) { exit status 3 }
call "group.gp" "limit" "runs.csv" "path,context_tokens" "limit_ms" 1
call "group.gp" "kv_memory" "runs.csv" "path,context_tokens" "kv_live_bytes" 1

title = "Step latency against context: ".model
subtitle = setting.", batch ".batch
footnote = medians_note(0).left_out(0).(limit_groups ? "\nLimit: the larger of bytes to read (weights and cache) ÷ " \
    ."measured bandwidth and flops ÷ measured peak." : "")
call "title.gp" title subtitle footnote
load "legend.gp"
if (limit_groups) { call "legend_entry.gp" limit_style "limit of each path" }

key = "context_tokens"
of(i) = strcol("path") eq word(paths, i)

# Paths that keep something, the range of their times, and microseconds for another token of context.
keeping = ""
close_high = 0
slopes = ""
do for [i = 1:words(paths)] {
    stats $kv_memory using (of(i) && column("median") > 0 ? 1 : NaN) name "KEPT" nooutput
    stats $ttpt using (of(i) ? column(key) : NaN):"median" name "STEP" nooutput
    stats $ttpt using (of(i) ? column("high") : NaN) name "HIGH" nooutput
    if (exists("KEPT_records") && exists("HIGH_records")) {
        keeping = keeping." ".word(paths, i)
        close_high = HIGH_max > close_high ? HIGH_max : close_high
        stats $limit using (of(i) ? column(key) : NaN):"median" name "LEAST" nooutput
        slopes = slopes.(STEP_records > 1 ? sprintf("\n%s: %.3g µs per token of context", word(paths, i), \
            STEP_slope * 1000).(exists("LEAST_slope") ? sprintf(", limit %.3g", LEAST_slope * 1000) : "") : "")
    }
}
n_panels = keeping eq "" || words(keeping) == words(present) ? 1 : 2

set xlabel "Tokens in the sequence" offset 0,0.2 textcolor rgb ink
set xrange [0:word(ttpt_keys, words(ttpt_keys)) * 1.03]
set multiplot layout 1,n_panels margins screen 0.075,0.98,112.0 / height,1 - 124.0 / height spacing screen 0.09
do for [panel = 1:n_panels] {
    shown = n_panels == 2 && panel == 2 ? keeping : present
    drawn(i) = of(i) && strstrt(" ".shown." ", " ".word(paths, i)." ") ? column(key) : NaN
    if (panel < n_panels || keeping eq "") {
        low = smaller(limit_low, ttpt_low)
        call "axis.gp" "y" low ttpt_high "auto"
        call "panel_title.gp" "Time per token, every path" "ms"
    } else {
        call "axis.gp" "y" 1 close_high "linear"
        call "panel_title.gp" "With a cache, closer up" "ms"
        set label 103 slopes[2:*] at graph 0.04,graph 0.05 + 0.05 * words(keeping) textcolor rgb ink noenhanced
    }
    plot for [i = 1:words(paths)] $limit using (drawn(i)):"median" with lines ls limit_style, \
        for [i = 1:words(paths)] $ttpt using (drawn(i)):"low":(0):(column("high") - column("low")) \
        with vectors heads size screen 4.0 / width,90 ls line_style(i) dt solid lw 1.2, \
        for [i = 1:words(paths)] $ttpt using (drawn(i)):"median" with linespoints ls line_style(i)
    unset label
    unset arrow
}
unset multiplot
