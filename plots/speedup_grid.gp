# How many times as fast as naive every other path takes a step, over batch and length.
call "theme.gp" 900 520 ARG1 ARG2 ARG3 ARG4 ARG5
load "runs.gp"
load "< awk -f sort.awk -f speedup.awk \"$rows/runs.csv\""
if (best_speedup == 0) { exit status 3 }
call "group.gp" "step" "runs.csv" "path,batch,context_tokens" "ttpt_ms" 1

title = "How much faster a step is than naive: ".model
subtitle = setting
footnote = "Time per token of naive ÷ time per token of the path, at the end of a sequence of that length; medians " \
    ."of the repetitions (".repetitions(0).").\n".((missing > 0 ? "–  not measured.  " : "").left_out(0)[3:*])
call "title.gp" title subtitle footnote

# The colour is the logarithm of the ratio, -1 to 1: blue is faster, red slower.
set palette defined (-1 "#d55e00", 0 "#f7f7f7", 1 "#0072b2")
set cbrange [-1:1]
unset colorbox
full = log(best_speedup > 2 ? best_speedup : 2)
colour(ratio) = ratio != ratio ? NaN : log(ratio) / full < -1 ? -1 : log(ratio) / full
time_in_words(ms) = ms != ms ? "–" : ms < 1000 ? sprintf("%.3g ms", ms) : sprintf("%.3g s", ms / 1000)
ratio_in_words(ratio) = ratio != ratio ? "–" : sprintf(ratio < 9.95 ? "%.1f×" : "%.0f×", ratio)
cell_width = 0.9 * width / words(others) / words(lengths)
cell_height = (height - 212.0) / words(batches)
roomy = cell_width > 105 && cell_height > 42
ratio_text(x) = "{/:Bold*1.2 ".ratio_in_words(column("ratio"))."}"
times_text(x) = roomy ? time_in_words(column("naive_ms"))." → ".time_in_words(column("path_ms")) : ""
small = font("DejaVu Sans", 10.5)
is_dark(x) = colour(column("ratio")) > 0.7

unset grid
set border 0
set tics scale 0
set xrange [0.5:words(lengths) + 0.5]
set yrange [0.5:words(batches) + 0.5]
set xtics ()
do for [i = 1:words(lengths)] { set xtics add (word(lengths, i) i) }
set ytics ()
do for [i = 1:words(batches)] { set ytics add (word(batches, i) i) }
set xlabel "Tokens in the sequence" offset 0,0.2 textcolor rgb ink
set ylabel "Batch size" textcolor rgb ink
set multiplot layout 1,words(others) margins screen 0.085,0.98,112.0 / height,1 - 100.0 / height spacing screen 0.08
do for [other in others] {
    set label 101 "{/:Bold ".escaped(other)."} against naive" at graph 0,graph 1 offset screen 0,screen 17.0 / height \
        textcolor rgb ink
    of(x) = strcol("path") eq other ? column("length") : NaN
    plot $speedup using (of(0)):"batch":(of(0) - 0.49):(of(0) + 0.49): \
        (column("batch") - 0.48):(column("batch") + 0.48) with boxxyerror fc rgb "#ededed" fs solid noborder, \
        "" using (of(0)):"batch":(of(0) - 0.49):(of(0) + 0.49): \
        (column("batch") - 0.48):(column("batch") + 0.48):(colour(column("ratio"))) \
        with boxxyerror lc palette fs solid noborder, \
        for [dark = 0:1] "" using (is_dark(0) == dark ? of(0) : NaN):"batch":(ratio_text(0)) with labels \
        offset screen 0,screen (roomy ? 7.0 : 0) / height textcolor rgb (dark ? "#ffffff" : ink), \
        for [dark = 0:1] "" using (is_dark(0) == dark ? of(0) : NaN):"batch":(times_text(0)) with labels font small \
        offset screen 0,screen -11.0 / height textcolor rgb (dark ? "#ffffff" : ink)
    unset label
    unset ylabel
}
unset multiplot
