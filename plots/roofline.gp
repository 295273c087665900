# The best that the machine did during the run as a roof, and every phase as a point under it.
load ARG1."/settings"
call "theme.gp" 900 560 ARG1 ARG2 ARG3

title = "Roofline: ".model
subtitle = setting."; ".workload
footnote = "Numbers: batch. Points: the median time of the repetitions (".repetitions(0).")." \
    .left_out(0).(bandwidth > 0 ? "" : "  No roof: limits.csv has none of ".counted(sprintf("%d", threads), "thread").".") \
    .(n_above > 0 ? "  Left out: ".counted(sprintf("%d", n_above), "point")." above the roof." : "") \
    ."\nDecode is a step of the path at the mean length; naive runs the whole window for each. " \
    ."Bytes: weights once, and the cache."
call "title.gp" title subtitle footnote
call "legend.gp" "decode, "
if (n_prefill) { call "legend_entry.gp" prefill_style prefill_label }

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
up = (legend_y * height - 159) / log10(1.3 ** 2 * highest / lowest)
if (bandwidth > 0) {
    peak_label = sprintf("peak %.3g GFLOPS", peak)
    bandwidth_label = sprintf("read bandwidth %.3g GB/s", bandwidth)
    set label 104 peak_label at right_end,peak right offset screen -0.01,screen 12.0 / height textcolor rgb ink
    slope = atan2(up, across) * 180 / pi
    set label 105 bandwidth_label at left_end,bandwidth * left_end rotate by slope \
        offset screen 20.0 / width,screen 32.0 / height textcolor rgb ink
}
small = font("DejaVu Sans", 11)
decode(i) = of(i) && column("prefill") == 0 ? column("intensity") : NaN
prefill(x) = column("prefill") == 1 ? column("intensity") : NaN
# Where many points are close together, the smallest and the largest batch are enough.
at_end(x) = column("batch") == word(batch_keys, 1) || column("batch") == word(batch_keys, words(batch_keys))
set samples 1000
plot roof(x) with lines lc rgb "#8c8c8c" lw 3, \
    table("phases") using (prefill(0)):"gflops" with linespoints ls prefill_style, \
    for [i = 1:n_arms] table("phases") using (decode(i)):"gflops" with linespoints ls style_of(i), \
    table("phases") using (at_end(0) ? prefill(0) : NaN):"gflops":"batch" with labels font small \
    offset screen 0,screen 12.0 / height textcolor ls prefill_style, \
    for [i = 1:n_arms] table("phases") using (arm_style[i] > 1 || at_end(0) ? decode(i) : NaN):"gflops":"batch" \
    with labels font small offset screen 0,screen -12.0 / height textcolor ls style_of(i)
