# Step latency against context: every arm, and closer up those that keep a cache, with what reading it must cost.
load ARG1."/settings"
call "theme.gp" 900 512 ARG1 ARG2 ARG3

# Times closer up are as if the machine had always been that fast.
is_corrected(i) = corrected_gbytes_s[i] == corrected_gbytes_s[i] || corrected_gflops[i] == corrected_gflops[i]
speed(i) = corrected_gbytes_s[i] == corrected_gbytes_s[i] ? sprintf("at %.3g GB/s", corrected_gbytes_s[i]) : \
    sprintf("at %.3g GFLOPS", corrected_gflops[i])

title = "Step latency against context: ".model
subtitle = setting.", batch ".batch
footnote = medians_note(0).left_out(0)."\n".(limit_high ne "" ? "Limit: the larger of bytes ÷ bandwidth and flops ÷ peak " \
    ."that were probed".(faults > 0 ? "; ".counted(sprintf("%d", faults), "row")." faster than that" : "").". " : "") \
    ."Band: slopes of the 95 % interval."
call "title.gp" title subtitle footnote
call "legend.gp" ""
if (limit_high ne "") { call "legend_entry.gp" limit_style "limit of each path" }

# Microseconds for another token of context, of the arms that keep something.
n_keeping = 0
n_lines = 0
slopes = ""
do for [i = 1:n_arms] {
    n_keeping = n_keeping + (keeps[i] > 0)
    is_told = slope_low_us[i] > 0 || slope_high_us[i] < 0
    if (keeps[i] && slope_us[i] == slope_us[i]) {
        slopes = slopes."\n".arm[i].": ".(is_told ? sprintf("%.3g µs per token of context (%.3g to %.3g)", slope_us[i], \
            slope_low_us[i], slope_high_us[i]) : "its slope cannot be told")
        n_lines = n_lines + 1
        if (limit_slope_us[i] == limit_slope_us[i]) {
            slopes = slopes."\n    ".sprintf("its limit: %.3g µs", limit_slope_us[i])
            n_lines = n_lines + 1
        }
        if (is_corrected(i)) {
            slopes = slopes."\n    ".speed(i).", by the probes; ×: as measured"
            n_lines = n_lines + 1
        }
    }
}
n_panels = n_keeping == 0 || n_keeping == n_arms ? 1 : 2

set xlabel "Tokens in the sequence" offset 0,0.2 textcolor rgb ink
set xrange [0:word(context_keys, words(context_keys)) * 1.03]
set multiplot layout 1,n_panels margins screen 0.075,0.98,112.0 / height,legend_y - 47.0 / height spacing screen 0.09
do for [panel = 1:n_panels] {
    is_close = panel == n_panels && n_keeping > 0
    drawn(i) = of(i) && (panel < n_panels || n_panels == 1 || keeps[i]) ? column("context_tokens") : NaN
    measured(i) = is_close && is_corrected(i) ? NaN : drawn(i)
    close(i) = is_close && keeps[i] && of(i) ? column("context_tokens") : NaN
    crosses(i) = is_close && is_corrected(i) ? drawn(i) : NaN
    if (panel < n_panels || n_keeping == 0) {
        low = smaller(limit_low, ttpt_low)
        call "axis.gp" "y" low ttpt_high "auto"
        call "panel_title.gp" "Time per token, every path" "ms"
    } else {
        call "axis.gp" "y" 1 close_high "linear"
        call "panel_title.gp" "With a cache, closer up" "ms"
        set label 103 slopes[2:*] at graph 0.04,graph 0.05 + 0.05 * n_lines textcolor rgb ink noenhanced
    }
    fitted(i) = of(i) && panel == n_panels && keeps[i] ? column("context_tokens") : NaN
    plot for [i = 1:n_arms] table("fit") using (fitted(i)):"low":"high" \
        with filledcurves ls style_of(i) fs transparent solid 0.18 noborder, \
        for [i = 1:n_arms] table("fit") using (fitted(i)):"fit" with lines ls style_of(i) dt solid lw 0.8, \
        for [i = 1:n_arms] table("points") using (measured(i)):"limit_median" with lines ls limit_style, \
        for [i = 1:n_arms] table("corrected") using (close(i)):"limit" with lines ls limit_style, \
        for [i = 1:n_arms] table("points") using (measured(i)):"ttpt_low":(0):(column("ttpt_high") - column("ttpt_low")) \
        with vectors heads size screen 4.0 / width,90 ls style_of(i) dt solid lw 1.2, \
        for [i = 1:n_arms] table("points") using (measured(i)):"ttpt_median" with linespoints ls style_of(i), \
        for [i = 1:n_arms] table("points") using (crosses(i)):"ttpt_median" with points ls style_of(i) pt 2 lw 0.8, \
        for [i = 1:n_arms] table("corrected") using (close(i)):"low":(0):(column("high") - column("low")) \
        with vectors heads size screen 4.0 / width,90 ls style_of(i) dt solid lw 1.2, \
        for [i = 1:n_arms] table("corrected") using (close(i)):"median" with linespoints ls style_of(i)
    unset label
    unset arrow
}
unset multiplot
