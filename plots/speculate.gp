# Speed over plain steps, and tokens that a step gives, by how many tokens are drafted: a column a batch.
load ARG1."/settings"
n_columns = words(batch_keys)
call "theme.gp" 900 680 ARG1 ARG2 ARG3

title = "What drafting several tokens a step gains: ".model
subtitle = setting.", ".workload.(strlen(task) ? "\n".task : "")
footnote = "Percent: of the drafts that were judged, those that stayed (α).  Thin lines: foretold, E = (1 − α^{k+1}) ÷ (1 − α) tokens a step,\n" \
    ."and above E ÷ what verifying and drafting cost in plain steps.  Bars: 95 % interval over the rounds (".repetitions(0).").".left_out(0)
call "title.gp" title subtitle footnote
if (strlen(task)) { legend_y = legend_y - 18.0 / height }
set label 3 enhanced
do for [i = 1:n_kinds] {
    legend_text = kind[i]
    call "legend_entry.gp" i legend_text
}
legend_style = limit_style
call "legend_entry.gp" legend_style "plain steps"
set logscale x 2
set xrange [drafts_low / 1.3:drafts_high * 1.5]
set xtics ("1" 1, "2" 2, "4" 4, "8" 8, "16" 16, "32" 32, "63" 63)
set multiplot layout 2,n_columns margins screen 0.065,0.98,115.0 / height,legend_y - 47.0 / height \
    spacing screen 0.055,screen 75.0 / height
do for [row = 1:2] {
    if (row == 1) {
        call "axis.gp" "y" "0" gain_high "linear"
    } else {
        call "axis.gp" "y" "0" tokens_high "linear"
    }
    do for [panel = 1:n_columns] {
        batch = word(batch_keys, panel) + 0
        panel_name = "Batch ".word(batch_keys, panel)
        panel_unit = row == 1 ? "tokens/s, × plain steps" : "tokens a step of a sequence"
        call "panel_title.gp" panel_name panel_unit
        set xlabel (row == 2 ? "Tokens drafted a step, k, at most" : "") offset 0,0.2 textcolor rgb ink
        at(i) = column("kind") == i && column("batch") == batch ? column("k") : NaN
        if (row == 1) {
            plot 1 with lines ls limit_style, \
                for [i = 1:n_kinds] table("speculations") using (at(i)):"foretold" smooth unique with lines ls i dt solid lw 0.7, \
                for [i = 1:n_kinds] table("speculations") using (at(i)):"low":(0):(column("high") - column("low")) \
                with vectors nohead ls i dt solid lw 1.2, \
                for [i = 1:n_kinds] table("speculations") using (at(i)):"gain" smooth unique with linespoints ls i
        } else {
            plot 1 with lines ls limit_style, \
                for [i = 1:n_kinds] table("speculations") using (at(i)):"expected_tokens" smooth unique with lines ls i dt solid lw 0.7, \
                for [i = 1:n_kinds] table("speculations") using (at(i)):"step_tokens" smooth unique with linespoints ls i, \
                for [i = 1:n_kinds] table("speculations") using (at(i)):(0.085 * tokens_high * (n_kinds - i)):(sprintf("%.0f %%", column("acceptance"))) \
                with labels offset 0,0.5 textcolor ls i
        }
        unset label 101
    }
}
unset multiplot
