# Speed over float32 against divergence from it, of every format of weights and type of the cache: a panel a batch and
# context. Points are numbered, as colours alone do not tell ten variants apart, nor does grey print.
load ARG1."/settings"
n_columns = words(batch_keys)
n_rows = words(context_keys)
legend_columns = 4
legend_rows = (n_arms + legend_columns - 1) / legend_columns
height_of_rows = 175 + 18 * legend_rows + 250 * n_rows
call "theme.gp" 900 height_of_rows ARG1 ARG2 ARG3

title = "What fewer bits gain, and what they cost: ".model
subtitle = setting.", weights / keys and values"
footnote = "Divergence: measured on ".quality_model.", the nearest context that it has.  Area of a point: bytes of a step.  " \
    ."Dash: what the bytes allow.\nGrey, open: another variant is as close to float32 and faster.  " \
    ."Bars: 95 % interval over the rounds (".repetitions(0).").".left_out(0)
call "title.gp" title subtitle footnote
do for [i = 1:n_arms] {
    set label sprintf("%d  %s", i, value(sprintf("variant_%d", i))) \
        at screen 0.03 + 0.24 * ((i - 1) % legend_columns),screen 1 - (77.0 + 18 * ((i - 1) / legend_columns)) / height \
        textcolor rgb ink noenhanced
}

# A divergence of 0, of float32 itself, has a place of its own left of the others.
lowest = divergence_low eq "" ? 1e-4 : divergence_low + 0
highest = divergence_high eq "" ? 1e-3 : divergence_high + 0
zero_at = 10.0 ** (floor(log10(lowest)) - 0.6)
set clip one
set logscale x
set xrange [zero_at / 1.8:highest * 3]
set xtics ("0" zero_at)
do for [exponent = floor(log10(lowest)):ceil(log10(highest))] {
    set xtics add (sprintf("10^{%d}", exponent) 10.0 ** exponent)
}
call "axis.gp" "y" "0" gain_high "linear"
place(x) = column("divergence") > 0 ? column("divergence") : zero_at
colour(x) = column("is_dominated") == 1 ? 0xa8a8a8 : 0x0072b2
set multiplot layout n_rows,n_columns margins screen 0.065,0.98,118.0 / height,1 - (112.0 + 18 * legend_rows) / height \
    spacing screen 0.055,screen 75.0 / height
do for [row = 1:n_rows] {
    do for [panel = 1:n_columns] {
        panel_name = "Batch ".word(batch_keys, panel).", ".word(context_keys, row)." tokens"
        scale_note = ""
        call "panel_title.gp" panel_name "× float32"
        set xlabel (row == n_rows ? "Divergence, nats a token" : "") offset 0,0.2 textcolor rgb ink
        here(x) = column("batch") == word(batch_keys, panel) + 0 && column("context_tokens") == word(context_keys, row) + 0
        at(x) = here(0) ? place(0) : NaN
        kept(x) = here(0) && column("is_dominated") == 0 ? place(0) : NaN
        left(x) = here(0) && column("is_dominated") == 1 ? place(0) : NaN
        plot 1 with lines ls limit_style, \
            table("variants") using (at(0) / 1.2):"bound":(at(0) * 1.2 - at(0) / 1.2):(0) \
            with vectors nohead ls limit_style dt solid lw 1.5, \
            table("variants") using (at(0)):"gain_low":(0):(column("gain_high") - column("gain_low")):(colour(0)) \
            with vectors nohead lw 1.2 lc rgb variable, \
            table("variants") using (left(0)):"gain":(2.2 / sqrt(column("bound"))) \
            with points pt 6 ps variable lc rgb 0xa8a8a8, \
            table("variants") using (kept(0)):"gain":(2.2 / sqrt(column("bound"))) \
            with points pt 7 ps variable lc rgb 0x0072b2, \
            table("variants") using (at(0)):"gain":(sprintf("%d", column("arm"))) \
            with labels offset character 1.3,0.5 textcolor rgb ink
        unset label
        unset arrow
    }
}
unset multiplot
