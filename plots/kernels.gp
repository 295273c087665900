# GFLOPS of every matmul shape against rows, and of attention against context, by backend and instruction set.
# For phones ("narrow") the panels stand below each other.
load ARG1."/settings"
narrow = ARG3 eq "narrow"
# The legend fills the cells after the last panel, nine lines in each, or a row of its own.
legend_columns = (n_arms + 10) / 9
apart = legend_columns > 3 - n_panels % 3
legend_row = n_panels / 3 + (apart && n_panels % 3 > 0)
legend_column = apart ? 0 : n_panels % 3
n_rows = narrow ? n_panels : legend_row + 1
height_of_rows = (narrow ? 290 + 20 * n_arms : 143) + 220 * n_rows
call "theme.gp" (narrow ? 420 : 900) height_of_rows ARG1 ARG2 ARG3

title = "Matmul and attention kernels"
subtitle = counted(sprintf("%d", threads), "thread").(peak > 0 ? sprintf(", peak %.3g GFLOPS", peak) : "") \
    .".  GFLOPS, log scale, against rows (matmul) or tokens in the sequence (attention)"
footnote = medians_note(0).left_out(0).(faults > 0 || peak_is_below ? "\n" : "") \
    .(faults > 0 ? "Without a limit: ".counted(sprintf("%d", faults), "row")." faster than was probed.  " : "") \
    .(peak_is_below ? "No peak: some are faster than all probes of it." : "")
call "title.gp" title subtitle footnote

highest = larger(sprintf("%.10g", peak), gflops_high)
call "axis.gp" "y" gflops_low highest "log"

do for [i = -1:n_arms] {
    if (!narrow) {
        legend_left = 0.06 + (legend_column + (i + 1) / 9) * 0.322
        legend_x = legend_left
        legend_y = 1 - (115.0 + legend_row * 220 + (i + 1) % 9 * 20) / height
    }
    legend_style = i < 0 ? peak_style : i == 0 ? limit_style : kernel_style(i)
    legend_text = i < 0 ? "peak that was probed" : i == 0 ? "limit of that shape" : arm[i]
    call "legend_entry.gp" legend_style legend_text
}

if (narrow) {
    set multiplot layout n_rows,1 margins screen 0.13,0.95,(48.0 + 18 * footer_lines) / height,legend_y - 47.0 / height \
        spacing screen 0,screen 75.0 / height
} else {
    set multiplot layout n_rows,3 margins screen 0.055,0.98,88.0 / height,1 - 95.0 / height \
        spacing screen 0.055,screen 62.0 / height
}
do for [p = 1:n_panels] {
    if (is_rows[p]) { call "log2_axis.gp" rows_keys 0.13 } else { call "log2_axis.gp" context_keys 0.13 }
    panel_name = (is_rows[p] ? "" : escaped(panel[p]).", ").escaped(shape[p])
    panel_unit = is_rows[p] ? "rows" : "tokens"
    scale_note = ""
    call "panel_title.gp" panel_name panel_unit
    in_panel(x) = column("panel") == p ? column("x") : NaN
    in_series(i) = of(i) ? in_panel(0) : NaN
    plot (peak > 0 ? peak : NaN) with lines ls peak_style, \
        for [g = 1:n_limit_groups] table("kernels") using (column("limit_group") == g ? in_panel(0) : NaN):"limit" \
        smooth unique with lines ls limit_style, \
        for [i = 1:n_arms] table("kernels") using (in_series(i)):"low":(0):(column("high") - column("low")) \
        with vectors nohead ls kernel_style(i) dt solid lw 1.2, \
        for [i = 1:n_arms] table("kernels") using (in_series(i)):"median" with linespoints ls kernel_style(i)
    unset label
    unset arrow
}
unset multiplot
