# Times of other engines as multiples of kvbench's: a dot and a bar a peer and precision, in panels of TTFT and TTPT.
load ARG1."/settings"
array row_y[n_rows]
array batch_y[n_rows]
n_batches = 0
do for [i = 1:n_rows] {
    starts = i == 1 ? 1 : row_batch[i] != row_batch[i - 1]
    n_batches = n_batches + starts
    row_y[i] = -(i + 0.9 * n_batches)
    batch_y[i] = starts ? row_y[i] + 0.85 : NaN
}
height_of_rows = 235 + 24 * (n_rows + 0.9 * n_batches)
call "theme.gp" 900 height_of_rows ARG1 ARG2 ARG3

title = "Other engines against kvbench: ".model
subtitle = setting.", ".workload
footnote = "Right of the line kvbench is faster, left of it the peer. Dots: ratio of times, from pairs of one round (" \
    .repetitions(0).").\n".(most < 6 ? "Too few rounds for intervals." : "Bars: its 95 % interval.").left_out(0)
call "title.gp" title subtitle footnote

# By name, so that a precision looks the same in every figure; the points tell them apart in grey print.
place(name) = name eq "f32" ? 1 : name eq "bf16" ? 2 : name eq "int8" ? 3 : 4
precision_style(w) = 70 + place(precision[w])
do for [i = 1:4] {
    set style line 70 + i lc rgb word("#0072b2 #d55e00 #009e73 #cc79a7", i) lw 1.8 dt solid \
        pt int(word("7 4 9 12", i)) ps 0.9
}
do for [w = 1:n_precisions] {
    entry_text = precision[w]
    entry_number = precision_style(w)
    call "legend_entry.gp" entry_number entry_text
}
call "legend_entry.gp" peak_style "as fast as kvbench"

span = ratio_high / (ratio_low + 0)
digits = span < 4 ? "1 1.2 1.5 2 2.5 3 4 5 6 8" : span < 30 ? "1 2 3 5" : span < 400 ? "1 2 5" : "1"
set logscale x
set xrange [ratio_low / 1.15:ratio_high * 1.15]
set xtics ()
do for [exponent = floor(log10(ratio_low)) - 1:ceil(log10(ratio_high))] {
    do for [digit in digits] {
        set xtics add (sprintf("%.10g", digit * 10.0 ** exponent) digit * 10.0 ** exponent)
    }
}
set yrange [row_y[n_rows] - 0.7:-0.5]
set ytics ()
do for [i = 1:n_rows] { set ytics add (escaped(row[i]) row_y[i]) }
set grid noytics
set xlabel "Time of the peer ÷ time of kvbench" offset 0,0.2 textcolor rgb ink
at_row(w) = row_y[int(column("row"))] - 0.26 * (w - (n_precisions + 1) / 2.0)
drawn(panel, w) = column("panel") == panel && column("weights") == w ? column("ratio") : NaN
left_margin = (30.0 + 8.5 * 13) / width
set multiplot layout 1,2 margins screen left_margin,0.98,112.0 / height,legend_y - 47.0 / height spacing screen 0.03
do for [panel = 1:2] {
    panel_name = panel == 1 ? "TTFT" : "TTPT (TPOT)"
    scale_note = ", log scale"
    call "panel_title.gp" panel_name (panel == 1 ? "time to the first token" : "time per output token")
    do for [i = 1:n_rows] {
        if (batch_y[i] == batch_y[i]) {
            set label 200 + i sprintf("{/:Bold Batch %d}", row_batch[i]) at graph 0,first batch_y[i] \
                offset screen 8.0 / width,0 textcolor rgb faint front
        }
    }
    set arrow 300 from 1,graph 0 to 1,graph 1 nohead ls peak_style back
    plot for [w = 1:n_precisions] table("ratios") using (drawn(panel, w) > 0 ? column("low") : NaN):(at_row(w)): \
        (column("high") - column("low")):(0) with vectors heads size screen 4.0 / width,90 ls precision_style(w) lw 1.4, \
        for [w = 1:n_precisions] table("ratios") using (drawn(panel, w)):(at_row(w)) with points ls precision_style(w)
    unset label
    unset arrow
    set format y ""
    set ytics ()
    do for [i = 1:n_rows] { set ytics add ("" row_y[i]) }
}
unset multiplot
