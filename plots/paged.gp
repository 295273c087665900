# Time of a step in blocks over that of the contiguous cache, by positions a block: a panel a batch and context.
load ARG1."/settings"
n_columns = words(batch_keys)
n_rows = words(context_keys)
height_of_rows = 150 + 230 * n_rows
call "theme.gp" 900 height_of_rows ARG1 ARG2 ARG3

title = "What blocks cost: ".model
subtitle = setting
footnote = "Time of a step over that of the contiguous cache in the same rounds. Grey: as fast, within 3 %.\n" \
    ."Bars: 95 % interval over the rounds (".repetitions(0).")." .left_out(0)
call "title.gp" title subtitle footnote
set logscale x 2
set xrange [block_low / 1.5:block_high * 1.5]
set xtics ("1" 1, "4" 4, "16" 16, "64" 64, "256" 256)
call "axis.gp" "y" "0" ratio_high "linear"
set multiplot layout n_rows,n_columns margins screen 0.065,0.98,100.0 / height,1 - 95.0 / height \
    spacing screen 0.055,screen 75.0 / height
do for [row = 1:n_rows] {
    do for [panel = 1:n_columns] {
        panel_name = "Batch ".word(batch_keys, panel).", ".word(context_keys, row)." tokens"
        call "panel_title.gp" panel_name "× contiguous"
        set xlabel (row == n_rows ? "Positions a block" : "") offset 0,0.2 textcolor rgb ink
        here(x) = column("batch") == word(batch_keys, panel) + 0 && column("context_tokens") == word(context_keys, row) + 0
        at(x) = here(0) ? column("block") : NaN
        set object 1 rectangle from graph 0,first 0.97 to graph 1,first 1.03 fillcolor rgb "#eeeeee" fillstyle solid \
            noborder behind
        plot 1 with lines ls limit_style, \
            table("blocks") using (at(0)):"low":(0):(column("high") - column("low")) \
            with vectors nohead lw 1.2 lc rgb "#0072b2", \
            table("blocks") using (at(0)):"ratio" with points pt 7 ps 1 lc rgb "#0072b2"
        unset object 1
        unset label
        unset arrow
    }
}
unset multiplot
