# Where the time of a step goes: a stack of shares a cell, naive and cached side by side, decoding above prefill.
load ARG1."/settings"
n_panels = n_decode > 0 ? 2 : 1
height_of_panels = 160 + 290 * n_panels
call "theme.gp" 900 height_of_panels ARG1 ARG2 ARG3

title = "Where the time of a step goes: ".model
subtitle = setting
footnote = "Time of a step by part, the mean of the threads; waiting is at barriers for other threads. Above each stack the " \
    ."whole step.\nMedian of the repetitions (".repetitions(0).").".left_out(0)
call "title.gp" title subtitle footnote

# Products in blues and greens, attention red, what is no product of weights in greys and yellows.
fills = "#9467bd #cc79a7 #0072b2 #d55e00 #56b4e9 #009e73 #004d73 #e69f00 #c4c4c4"
inks = "#ffffff #ffffff #ffffff #ffffff #333333 #ffffff #ffffff #333333 #333333"
do for [i = 1:n_parts] {
    set object i rectangle from screen legend_x,screen legend_y - 5.0 / height \
        to screen legend_x + 14.0 / width,screen legend_y + 7.0 / height fc rgb word(fills, i) fs solid noborder
    set label part[i] at screen legend_x + 19.0 / width,screen legend_y textcolor rgb ink noenhanced
    legend_x = legend_x + (40.0 + 7.6 * strlen(part[i])) / width
}

set xrange [0.4:n_places + 0.6]
set yrange [0:108]
set ytics (0, 25, 50, 75, 100)
set grid noxtics
set border 2
unset xtics
small = font("DejaVu Sans", 11)
time_in_words(ms) = ms < 1000 ? sprintf("%.3g ms", ms) : sprintf("%.3g s", ms / 1000)
stack_name(x) = arm[int(column("arm"))]."\nbatch ".tick_label(column("batch"))."\ncontext ".tick_label(column("context_tokens"))
is_part(i) = column("part") == i && column("phase") == phase ? column("place") : NaN
set multiplot layout n_panels,1 margins screen 0.065,0.98,130.0 / height,legend_y - 47.0 / height \
    spacing screen 0,screen 95.0 / height
do for [panel = 1:n_panels] {
    phase = n_panels == 2 && panel == 1 ? 1 : 0
    panel_name = phase ? "Decode" : "Prefill"
    panel_unit = phase ? "share of a step, %" : "share of the first token, %"
    scale_note = ""
    call "panel_title.gp" panel_name panel_unit
    plot for [i = 1:n_parts] table("parts") using (is_part(i)):"below":(is_part(i) - 0.4):(is_part(i) + 0.4): \
        "below":(column("below") + column("share")) with boxxyerror fc rgb word(fills, i) fs solid noborder, \
        for [i = 1:n_parts] "" using (column("share") >= 4.5 ? is_part(i) : NaN):(column("below") + column("share") / 2): \
        (sprintf("%.0f", column("share"))) with labels font small textcolor rgb word(inks, i), \
        table("stacks") using (column("phase") == phase ? column("place") : NaN):(100):(time_in_words(column("step_ms"))) \
        with labels font small offset screen 0,screen 9.0 / height textcolor rgb ink, \
        "" using (column("phase") == phase ? column("place") : NaN):(0):(stack_name(0)) with labels font small \
        offset screen 0,screen -27.0 / height textcolor rgb ink noenhanced
    unset label
    unset object
}
unset multiplot
