# GFLOPS of every matmul shape against rows, and of attention against context, by backend and instruction set.
call "group.gp" "shapes" "kernels.csv" "kernel,shape,threads" "gflops" 1
if (shapes_groups == 0) { exit status 3 }
n_panels = shapes_groups
n_rows = n_panels / 3 + 1
height_of_rows = 125 + 220 * n_rows
call "theme.gp" 900 height_of_rows ARG1 ARG2 ARG3 ARG4 ARG5
undefine fewest most
file = rows."/kernels.csv"

# Attention has no k, and a matmul no context.
call "group.gp" "matmul" "kernels.csv" "kernel,shape,gemm,isa,k,rows" "gflops" 1
call "group.gp" "attention" "kernels.csv" "kernel,shape,gemm,isa,context_tokens" "gflops" 1

# What is there, in words; attention has no backend.
panels = ""
gemms = ""
isas = " avx512 avx2 portable"
series = ""
stats file using (gemms = with_word(gemms, strcol("gemm")), isas = with_word(isas, strcol("isa")), \
    series = with_word(series, strcol("gemm")."/".strcol("isa")), \
    panels = with_word(panels, strcol("gflops") eq "" ? "" : strcol("kernel")."/".strcol("shape")), \
    threads = strcol("threads"), 0) nooutput
before(pair) = pair[1:strstrt(pair, "/") - 1]
after(pair) = pair[strstrt(pair, "/") + 1:*]

# Colour and shape of the points tell the instruction set; dashes and open points the first backend.
do for [pair in series] {
    nth_isa = index_in(isas, after(pair))
    nth_gemm = before(pair) eq "" ? 2 : index_in(gemms, before(pair))
    style = 50 + index_in(series, pair)
    set style line style lc rgb word("#000000 #009e73 #cc79a7 #56b4e9 #e69f00", (nth_isa - 1) % 5 + 1) lw 1.6 ps 0.75 \
        pt int(word("4 8 6 12 10", (nth_isa - 1) % 5 + 1)) + (nth_gemm > 1)
    if (nth_gemm == 1) { set style line style dt (7,4) }
    if (nth_gemm > 2) { set style line style dt (2,2) }
}
set style line 50 lc rgb "#8c8c8c" lw 1.2 dt solid pt 0

# The peak of so many threads, in GFLOPS; none without limits.
peak = 0
if (system("sed -n 2p \"$rows/limits.csv\"") ne "") {
    stats rows."/limits.csv" using (strcol("threads") eq threads && column("fma_flop_per_s") / 1e9 > peak ? \
        (peak = column("fma_flop_per_s") / 1e9) : 0) nooutput
}

title = "Matmul and attention kernels"
subtitle = counted(threads, "thread").(peak > 0 ? sprintf(", measured peak %.3g GFLOPS", peak) : "") \
    .".  GFLOPS, log scale, against rows (matmul) or tokens in the sequence (attention)"
footnote = medians_note(0).left_out(0)
call "title.gp" title subtitle footnote

lowest = smaller(matmul_low, attention_low)
highest = larger(sprintf("%.10g", peak), larger(matmul_high, attention_high))
call "axis.gp" "y" lowest highest "log"
in_panel(x) = strcol("kernel")."/".strcol("shape") eq panel ? column(key) : NaN
in_series(pair) = strcol("gemm") eq before(pair) && strcol("isa") eq after(pair) ? in_panel(0) : NaN

# The legend fills the cell after the last panel.
legend_y = 1 - (115.0 + n_panels / 3 * 220) / height
do for [name in "peak limit".series] {
    legend_x = 0.06 + n_panels % 3 * 0.322
    legend_style = name eq "peak" ? 50 : name eq "limit" ? limit_style : 50 + index_in(series, name)
    legend_text = name eq "peak" ? "measured peak" : name eq "limit" ? "limit of that shape" : \
        before(name) eq "" ? "attention, ".after(name) : before(name).", ".after(name)
    call "legend_entry.gp" legend_style legend_text
    legend_y = legend_y - 20.0 / height
}

set multiplot layout n_rows,3 margins screen 0.055,0.98,70.0 / height,1 - 95.0 / height \
    spacing screen 0.055,screen 62.0 / height
do for [panel in panels] {
    key = before(panel) eq "matmul" ? "rows" : "context_tokens"
    if (key eq "rows") { call "log2_axis.gp" matmul_keys 0.13 } else { call "log2_axis.gp" attention_keys 0.13 }
    panel_name = before(panel) eq "matmul" ? escaped(after(panel)) : "attention, ".escaped(after(panel))
    panel_unit = key eq "rows" ? "rows" : "tokens"
    scale_note = ""
    call "panel_title.gp" panel_name panel_unit
    plot (peak > 0 ? peak : NaN) with lines ls 50, \
        file using (in_panel(0)):(column("gflops") * 100 / column("limit_pct")) smooth unique \
        with lines ls limit_style, \
        for [pair in series] $matmul using (key eq "rows" ? in_series(pair) : NaN):"low":(0): \
        (column("high") - column("low")) with vectors nohead ls 50 + index_in(series, pair) dt solid lw 1.2, \
        for [pair in series] $matmul using (key eq "rows" ? in_series(pair) : NaN):"median" \
        with linespoints ls 50 + index_in(series, pair), \
        for [pair in series] $attention using (key eq "rows" ? NaN : in_series(pair)):"low":(0): \
        (column("high") - column("low")) with vectors nohead ls 50 + index_in(series, pair) dt solid lw 1.2, \
        for [pair in series] $attention using (key eq "rows" ? NaN : in_series(pair)):"median" \
        with linespoints ls 50 + index_in(series, pair)
    unset label
    unset arrow
}
unset multiplot
