# How many times as fast as naive every other arm takes a step, over batch and length.
load ARG1."/settings"
call "theme.gp" 900 520 ARG1 ARG2 ARG3

title = "How much faster a step is than naive: ".model
subtitle = setting
footnote = "Time per token of naive ÷ time per token of the path, at the end of a sequence of that length, in pairs of " \
    ."one round (".repetitions(0).").\n".((untold > 0 ? "?  not told apart yet.  " : "").(missing > 0 ? "–  not measured.  " : "").left_out(0)[3:*])
call "title.gp" title subtitle footnote

# The colour is the logarithm of the ratio, -1 to 1: blue is faster, red slower.
set palette defined (-1 "#d55e00", 0 "#f7f7f7", 1 "#0072b2")
set cbrange [-1:1]
unset colorbox
full = log(best_speedup > 2 ? best_speedup : 2)
colour(ratio) = ratio != ratio ? NaN : log(ratio) / full < -1 ? -1 : log(ratio) / full
time_in_words(ms) = ms != ms ? "–" : ms < 1000 ? sprintf("%.3g ms", ms) : sprintf("%.3g s", ms / 1000)
ratio_in_words(ratio) = ratio != ratio ? "–" : sprintf(ratio < 9.95 ? "%.1f×" : "%.0f×", ratio)
cell_width = 0.9 * width / n_others / words(context_keys)
cell_height = (height - 212.0) / words(batch_keys)
roomy = cell_width > 105 && cell_height > 42
ratio_text(x) = "{/:Bold*1.2 ".ratio_in_words(column("ratio")).(column("is_told") == 0 ? "?" : "")."}"
times_text(x) = roomy ? time_in_words(column("naive_ms"))." → ".time_in_words(column("arm_ms")) : ""
small = font("DejaVu Sans", 10.5)
is_dark(x) = colour(column("ratio")) > 0.7

unset grid
set border 0
set tics scale 0
set xrange [0.5:words(context_keys) + 0.5]
set yrange [0.5:words(batch_keys) + 0.5]
set xtics ()
do for [i = 1:words(context_keys)] { set xtics add (word(context_keys, i) i) }
set ytics ()
do for [i = 1:words(batch_keys)] { set ytics add (word(batch_keys, i) i) }
set xlabel "Tokens in the sequence" offset 0,0.2 textcolor rgb ink
set ylabel "Batch size" textcolor rgb ink
set multiplot layout 1,n_others margins screen 0.085,0.98,112.0 / height,1 - 100.0 / height spacing screen 0.08
do for [panel = 1:n_others] {
    set label 101 "{/:Bold ".escaped(arm[others[panel]])."} against naive" at graph 0,graph 1 offset screen 0,screen 17.0 / height \
        textcolor rgb ink
    at_length(x) = of(others[panel]) ? column("length") : NaN
    plot table("speedup") using (at_length(0)):"batch":(at_length(0) - 0.49):(at_length(0) + 0.49): \
        (column("batch") - 0.48):(column("batch") + 0.48) with boxxyerror fc rgb "#ededed" fs solid noborder, \
        "" using (at_length(0)):"batch":(at_length(0) - 0.49):(at_length(0) + 0.49): \
        (column("batch") - 0.48):(column("batch") + 0.48):(colour(column("ratio"))) \
        with boxxyerror lc palette fs solid noborder, \
        for [dark = 0:1] "" using (is_dark(0) == dark ? at_length(0) : NaN):"batch":(ratio_text(0)) with labels \
        offset screen 0,screen (roomy ? 7.0 : 0) / height textcolor rgb (dark ? "#ffffff" : ink), \
        for [dark = 0:1] "" using (is_dark(0) == dark ? at_length(0) : NaN):"batch":(times_text(0)) with labels font small \
        offset screen 0,screen -11.0 / height textcolor rgb (dark ? "#ffffff" : ink)
    unset label
    unset ylabel
}
unset multiplot
