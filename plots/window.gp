# Divergence, perplexity and speed of caches that keep a budget of positions, against their bytes: a line a layout and type.
load ARG1."/settings"
call "theme.gp" 900 520 ARG1 ARG2 ARG3

title = "What a budget of positions costs, and what it gains: ".model
subtitle = setting
footnote = "Left panels: the same held-out tokens, predicted through the decode path.  Bytes: all that a layout keeps.\n" \
    ."Bars: 95 % interval, of speed over the rounds (".repetitions(0).").  Float32 of all positions diverges by 0.".left_out(0)
call "title.gp" title subtitle footnote
do for [i = 1:n_layouts] {
    legend_text = layout[i]
    call "legend_entry.gp" i legend_text
}
low_byte = bytes_low eq "" ? 1 : bytes_low + 0
set logscale x 2
set xrange [low_byte / 1.3:130]
set xtics ("6 %%" 6.25, "12 %%" 12.5, "25 %%" 25, "50 %%" 50, "100 %%" 100, "3 %%" 3.125, "1.6 %%" 1.5625)
set xlabel "Bytes of keys and values, of all in float32" offset 0,0.2 textcolor rgb ink
of_family(i) = column("family") == i
x_of(i) = of_family(i) ? column("bytes") : NaN
set multiplot layout 1,3 margins screen 0.065,0.98,112.0 / height,legend_y - 47.0 / height \
    spacing screen 0.06
scale_note = ", log scale"
set logscale y
set format y "10^{%T}"
set yrange [divergence_low / 2:divergence_high * 2]
call "panel_title.gp" "Divergence" "nats a token"
plot for [i = 1:n_layouts] table("budgets") using (x_of(i)):"divergence_low":(0):(column("divergence_high") - column("divergence_low")) \
    with vectors nohead ls i dt solid lw 1.2, \
    for [i = 1:n_layouts] table("budgets") using (x_of(i)):(column("divergence") > 0 ? column("divergence") : NaN) \
    smooth unique with linespoints ls i
unset label
unset arrow
set yrange [*:*]
call "panel_title.gp" "Perplexity" "% above float32"
plot for [i = 1:n_layouts] table("budgets") using (x_of(i)):(column("perplexity") > 0 ? column("perplexity") : NaN) \
    smooth unique with linespoints ls i
unset label
unset logscale y
set format y "%g"
scale_note = ""
set yrange [0:gain_high * 1.1]
call "panel_title.gp" "Speed of a step" "× all in float32"
plot 1 with lines ls limit_style, \
    for [i = 1:n_layouts] table("budgets") using (x_of(i)):"gain_low":(0):(column("gain_high") - column("gain_low")) \
    with vectors nohead ls i dt solid lw 1.2, \
    for [i = 1:n_layouts] table("budgets") using (x_of(i)):"gain" smooth unique with linespoints ls i
unset multiplot
