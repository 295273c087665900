# Time of a step in blocks over that of the contiguous cache, by positions a block: a panel a batch and context. Below,
# what fits of a load of mixed lengths.
load ARG1."/settings"
n_columns = words(batch_keys)
n_rows = words(context_keys)
n_panels = n_columns > 1 || n_loads == 0 ? n_columns : 2
n_all_rows = n_rows + (n_loads > 0)
height_of_rows = 150 + 230 * n_all_rows
call "theme.gp" 900 height_of_rows ARG1 ARG2 ARG3

title = "What blocks cost: ".model
subtitle = setting
footnote = "Time of a step over that of the contiguous cache in the same rounds. Grey: as fast, within 3 %.\n" \
    ."Bars: 95 % interval over the rounds (".repetitions(0).")." \
    .(n_loads > 0 ? " Last row: dotted is contiguous." : "").left_out(0)
call "title.gp" title subtitle footnote
set logscale x 2
set xrange [block_low / 1.5:block_high * 1.5]
set xtics ("1" 1, "4" 4, "16" 16, "64" 64, "256" 256)
call "axis.gp" "y" "0" ratio_high "linear"
set multiplot layout n_all_rows,n_panels margins screen 0.065,0.98,100.0 / height,1 - 95.0 / height \
    spacing screen 0.055,screen 75.0 / height
do for [row = 1:n_rows] {
    do for [panel = 1:n_columns] {
        panel_name = "Batch ".word(batch_keys, panel).", ".word(context_keys, row)." tokens"
        call "panel_title.gp" panel_name "× contiguous"
        set xlabel (row == n_all_rows ? "Positions a block" : "") offset 0,0.2 textcolor rgb ink
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
    do for [panel = n_columns + 1:n_panels] { set multiplot next }
}
if (n_loads > 0) {
    block(x) = column("block") > 0 ? column("block") : NaN
    contiguous(x) = column("block") == 0 ? block_low / 1.5 : NaN
    whole(x) = block_high * 1.5 - block_low / 1.5
    do for [panel = 1:2] {
        name = panel == 1 ? "held" : "use"
        panel_title = panel == 1 ? sprintf("Mixed lengths to %d, in the room of %d", load_context, load_batch) : "Bytes in use"
        call "panel_title.gp" panel_title (panel == 1 ? "sequences" : "% of reserved")
        panel_high = panel == 1 ? held_high : 100
        call "axis.gp" "y" "0" panel_high "linear"
        set xlabel "Positions a block" offset 0,0.2 textcolor rgb ink
        plot table("loads") using (contiguous(0)):(column(name)):(whole(0)):(0) with vectors nohead ls limit_style, \
            table("loads") using (block(0)):(column(name)) with points pt 7 ps 1 lc rgb "#0072b2"
        unset label
        unset arrow
    }
}
unset multiplot
