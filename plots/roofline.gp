# This machine's measured roof, and every phase as a point under it.
call "theme.gp" 900 560 ARG1 ARG2 ARG3 ARG4 ARG5
load "runs.gp"
call "group.gp" "batches" "runs.csv" "path,batch" "batch" 1
load "< awk -f sort.awk -f work.awk -f roofline.awk \"$rows/runs.csv\" \"$rows/limits.csv\""
if (n_decode + n_prefill == 0) { exit status 3 }

title = "Roofline: ".model
subtitle = setting."; ".workload
footnote = "Numbers: batch. Points: the median time of the repetitions (".repetitions(0).")." \
    .left_out(0).(bandwidth > 0 ? "" : "  No roof: limits.csv has none of ".counted(threads, "thread").".") \
    ."\nDecode is a step of the path at the mean length; naive runs the whole window for each. " \
    ."Bytes: weights once, and the cache."
call "title.gp" title subtitle footnote
set style line 41 lc rgb "#333333" lw 1.2 dt (2,3) pt 8 ps 1.1
do for [i = 1:words(paths)] {
    legend_text = "decode, ".word(paths, i)
    legend_style = line_style(i)
    if (has_path(word(paths, i))) { call "legend_entry.gp" legend_style legend_text }
}
if (n_prefill) { call "legend_entry.gp" 41 "prefill" }

call "frame.gp" 0.075 0.98
# Without limits of this number of threads there are points and no roof.
ridge = bandwidth > 0 ? peak / bandwidth : left
left_end = (left < ridge ? left : ridge) / 1.5
right_end = (right > ridge ? right : ridge) * 1.5
roof(x) = bandwidth == 0 ? NaN : x < ridge ? bandwidth * x : peak
lowest = bandwidth > 0 && roof(left_end) < bottom ? roof(left_end) : bottom
highest = top > peak ? top : peak
call "axis.gp" "y" lowest highest "log"
call "panel_title.gp" "Performance" "GFLOPS"
call "axis.gp" "x" left_end right_end "log"
set xlabel "Arithmetic intensity: flops per byte of memory traffic, log scale" offset 0,0.2 textcolor rgb ink

# Along the roof: its slope in degrees, as it is drawn.
across = (frame_right - frame_left) * width / log10(1.3 ** 2 * right_end / left_end)
up = (height - 236.0) / log10(1.3 ** 2 * highest / lowest)
if (bandwidth > 0) {
    peak_label = sprintf("measured peak %.3g GFLOPS", peak)
    bandwidth_label = sprintf("measured read bandwidth %.3g GB/s", bandwidth)
    set label 104 peak_label at right_end,peak right offset screen -0.01,screen 12.0 / height textcolor rgb ink
    slope = atan2(up, across) * 180 / pi
    set label 105 bandwidth_label at left_end,bandwidth * left_end rotate by slope \
        offset screen 20.0 / width,screen 32.0 / height textcolor rgb ink
}
small = font("DejaVu Sans", 11)
decode(path) = strcol("phase") eq "decode" && strcol("path") eq path ? column("intensity") : NaN
prefill(x) = strcol("phase") eq "prefill" ? column("intensity") : NaN
# Where many points are close together, the smallest and the largest batch are enough.
at_end(x) = column("batch") == word(batches_keys, 1) || column("batch") == word(batches_keys, words(batches_keys))
set samples 1000
plot roof(x) with lines lc rgb "#8c8c8c" lw 3, \
    $phases using (prefill(0)):"gflops" with linespoints ls 41, \
    for [path in paths] $phases using (decode(path)):"gflops" with linespoints ls style_of(path), \
    $phases using (at_end(0) ? prefill(0) : NaN):"gflops":"batch" with labels font small \
    offset screen 0,screen 12.0 / height textcolor ls 41, \
    for [path in paths] $phases using (path ne "naive" || at_end(0) ? decode(path) : NaN):"gflops":"batch" \
    with labels font small offset screen 0,screen -12.0 / height textcolor ls style_of(path)
