# Divergence from float32 against context, of every format of weights and type of the cache; its 99th percentile beside it.
load ARG1."/settings"
call "theme.gp" 900 520 ARG1 ARG2 ARG3

title = "What fewer bits cost, against context: ".model
subtitle = setting.", weights / keys and values"
footnote = sprintf("Each of the same %.0f tokens of held-out text, predicted from more than half of the context and at most " \
    ."all of it.", scored)."\nBars: 95 % interval over 20 blocks of the text.  A variant without any divergence is not drawn." \
    .left_out(0)
steadiness = "What is predicted does not depend on how fast the machine was."
call "title.gp" title subtitle footnote
stats table("divergences") using "arm" nooutput
do for [i = 1:n_arms] {
    n_points = 0
    stats table("divergences") using (column("arm") == i ? 1 : NaN) nooutput name "OF"
    if (exists("OF_records") && OF_records > 0) {
        legend_text = value(sprintf("variant_%d", i))
        legend_style = style_of(i)
        call "legend_entry.gp" legend_style legend_text
    }
}
call "log2_axis.gp" context_keys 0.1
set xlabel "Tokens of context" offset 0,0.2 textcolor rgb ink
set logscale y
set yrange [10.0 ** floor(log10(divergence_low)):divergence_high * 1.5]
set ytics ()
do for [exponent = floor(log10(divergence_low)):ceil(log10(divergence_high))] {
    set ytics add (sprintf("10^{%d}", exponent) 10.0 ** exponent)
}
set multiplot layout 1,2 margins screen 0.07,0.98,112.0 / height,legend_y - 47.0 / height spacing screen 0.07
do for [panel = 1:2] {
    scale_note = ", log scale"
    panel_name = panel == 1 ? "Mean" : "99th percentile"
    call "panel_title.gp" panel_name "nats a token"
    drawn(i) = of(i) ? column("context_tokens") : NaN
    if (panel == 1) {
        plot for [i = 1:n_arms] table("divergences") using (drawn(i)):"low":(0):(column("high") - column("low")) \
            with vectors heads size screen 4.0 / width,90 ls style_of(i) dt solid lw 1.2, \
            for [i = 1:n_arms] table("divergences") using (drawn(i)):"divergence" with linespoints ls style_of(i)
    } else {
        plot for [i = 1:n_arms] table("divergences") using (drawn(i)):"p99" with linespoints ls style_of(i)
    }
    unset label
    unset arrow
}
unset multiplot
