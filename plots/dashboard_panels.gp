# gnuplot -c dashboard_panels.gp FOLDER
# All heads of a layer, or one head in all layers, a panel each and a frame a step: on top the weights with which the
# newest position attends to those in the cache; below them, a row a step, the same of all steps so far.
call "dashboard_frame.gp" ARG1

columns = n_panels <= 4 ? n_panels : n_panels <= 20 ? 4 : n_panels <= 30 ? 6 : 8
lines = (n_panels + columns - 1) / columns
left = 18
top = 70
gap = 16
pitch_x = (width - 2 * left + gap) / columns
pitch_y = (height - top - (fewer_bits ? 54 : 40)) / lines
panel_width = whole(pitch_x - gap, n_positions)
history_height = whole((pitch_y - 34) * 2 / 3, n_steps)
bars_height = pitch_y - 36 - history_height

subject = by_layer ? "head ".head.", all layers" : "layer ".layer.", all heads"
panel_name = by_layer ? "layer " : "head "
# The root, so that a small weight is still to be seen.
history_colour(weight) = shade(sqrt(weight / largest), 1)

unset grid
set border 0
unset tics
set style fill solid noborder
set xrange [-0.5:n_positions - 0.5]

do for [step = 1:n_steps] {
    attention = folder."/attention.".step
    set multiplot

    if (step == 1) {
        eval fill(1, -1, -1, width + 1, height + 1, "#ffffff")
        set label 1 "KV cache at work: ".cut(model, 20).", ".subject at screen across(18),down(24) font title_font \
            textcolor rgb ink noenhanced
        set label 2 "Bars: attention weights over the positions in the cache, ".sprintf("up to %.2f", bar_limit). \
            "; the first token's, grey, may end there: the number is its weight." \
            at screen across(18),down(height - 30) textcolor rgb faint noenhanced
        set label 3 "Below: the same, a row a step, darker for more. ".weights_in_words.".". \
            (fewer_bits ? " ".marks_in_words : "") \
            at screen across(18),down(height - 14) textcolor rgb faint noenhanced
    } else {
        eval fill(1, 560, 4, width, 38, "#ffffff")
        eval fill(2, 0, 38, width, 62, "#ffffff")
        if (fewer_bits) { eval fill(5, 0, height - 54, width, height - 38, "#ffffff") }
    }
    if (fewer_bits) {
        set label 7 sprintf("The %s cache changes no weight by more than %.2g; most moves in %s: ", kv, \
            largest_change[step], panel_name.word(panels, moved_panel[step])). \
            sprintf("%.2g (total variation: half the sum of changes without sign).", most_moved[step]) \
            at screen across(18),down(height - 46) textcolor rgb ink noenhanced
    }
    set label 4 counted_steps(step) at screen across(width - 18),down(24) right font title_font \
        textcolor rgb blue noenhanced
    set label 5 story(step) at screen across(18),down(50) textcolor rgb faint noenhanced

    do for [i = 0:n_panels - 1] {
        x = left + i % columns * pitch_x
        y = top + i / columns * pitch_y
        bars_bottom = y + 18 + bars_height
        eval fill(3, x, y, x + panel_width + 8, bars_bottom + 1, "#ffffff")
        if (step == 1) { eval fill(4, x, bars_bottom + 2, x + panel_width, bars_bottom + 2 + history_height, unused) }
        set label 6 panel_name.word(panels, i + 1) at screen across(x),down(y + 9) font bold_font textcolor rgb ink
        eval panel(x, y + 18, x + panel_width, bars_bottom)
        set yrange [0:bar_limit]
        plot attention index i using 1:(0):($1 - 0.4):($1 + 0.4):(0):(bar_end($2)):(bar_colour($1)) \
            with boxxyerror lc rgb variable, \
            attention index i every ::0::0 using (n_positions - 0.5):(bar_limit):(sprintf("%.2f", $2)) \
            with labels right offset 0,char 0.7 textcolor rgb "#888888"
        unset label
        unset object
        if (fewer_bits) {
            plot attention index i using ($1 - 0.4):(bar_end($3)):(0.8):(0) with vectors nohead lc rgb "#000000"
        }
        eval panel(x, bars_bottom + 2, x + panel_width, bars_bottom + 2 + history_height)
        set yrange [n_steps - 0.5:-0.5]
        plot attention index i using 1:(step - 1):($1 - 0.5):($1 + 0.5):(step - 1.5):(step - 0.5): \
            (history_colour($2)) with boxxyerror lc rgb variable
    }
    unset multiplot
}
