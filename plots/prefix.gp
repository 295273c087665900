# Time to the first token against that without sharing, and keys and values in use, by the share of the prompt that all
# sequences have in common: a column a batch.
load ARG1."/settings"
n_columns = words(batch_keys)
call "theme.gp" 900 660 ARG1 ARG2 ARG3

title = "What a shared prefix saves: ".model
subtitle = setting.", ".workload
footnote = "Grey: B / (share + B (1 − share)), the positions that are run without sharing over those with it.\n" \
    ."Bars: 95 % interval over the rounds (".repetitions(0).")." .left_out(0)
call "title.gp" title subtitle footnote
call "legend.gp" ""
set xrange [-5:100]
set xtics 25
set multiplot layout 2,n_columns margins screen 0.065,0.98,100.0 / height,legend_y - 47.0 / height \
    spacing screen 0.055,screen 75.0 / height
do for [row = 1:2] {
    if (row == 1) {
        call "axis.gp" "y" "0" gain_high "linear"
    } else {
        call "axis.gp" "y" "0" live_high "linear"
    }
    do for [panel = 1:n_columns] {
        batch = word(batch_keys, panel) + 0
        panel_name = "Batch ".word(batch_keys, panel)
        panel_unit = row == 1 ? "first token, times as soon" : "MiB of keys and values"
        call "panel_title.gp" panel_name panel_unit
        set xlabel (row == 2 ? "Shared, % of the prompt" : "") offset 0,0.2 textcolor rgb ink
        at(i) = of(i) && column("batch") == batch ? column("share") : NaN
        if (row == 1) {
            plot for [i = 1:n_arms] table("shares") using (at(i)):"bound" smooth unique with lines ls limit_style, \
                for [i = 1:n_arms] table("shares") using (at(i)):"low":(0):(column("high") - column("low")) \
                with vectors nohead ls style_of(i), \
                for [i = 1:n_arms] table("shares") using (at(i)):"gain" smooth unique with linespoints ls style_of(i)
        } else {
            plot for [i = 1:n_arms] table("shares") using (at(i)):"live" smooth unique with linespoints ls style_of(i)
        }
        unset label
        unset arrow
    }
}
unset multiplot
