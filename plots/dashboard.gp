# gnuplot -c dashboard.gp FOLDER
# One head of one layer, a frame a step: the query of the newest position on top; below it, a row a position, the keys
# that it meets, the values they stand for, and the attention weights that come of it; of a cache in fewer bits also
# what that changes in them.
call "dashboard_frame.gp" ARG1

panel_width = whole(fewer_bits ? 256 : 320, head_size)
panel_top = 150
panel_bottom = panel_top + (n_positions < 15 ? 25 * n_positions : whole(fewer_bits ? 362 : 378, n_positions))
keys_left = 90
values_left = fewer_bits ? 372 : 436
bars_left = fewer_bits ? 654 : 782
bars_right = fewer_bits ? 778 : 942
change_left = 814
change_right = 930
right_edge = 942
query_top = 88
query_bottom = 106
headings = down(panel_top - 14)
scales = panel_bottom + 14

# Where rows are lower than a line, single characters stand in turns in so many columns; of longer labels only some fit.
lines_apart = ceil(13.0 * n_positions / (panel_bottom - panel_top))
longest = 0
do for [t = 1:n_positions + 1] { longest = strlen(token[t]) > longest ? strlen(token[t]) : longest }
columns = longest == 1 ? lines_apart : 1
column_of(row) = int(row) % columns
row_is_labelled(row) = columns > 1 ? row < last_row : row <= last_row - lines_apart && int(row) % lines_apart == 0
left_of_row(column) = -0.8 - 1.5 * (columns - 1 - column)
row_colour(row) = row < n_prompt ? 0x333333 : 0x0072b2
row_height = (panel_bottom - panel_top) / (n_positions * 1.0)
row_points = row_height < 18 ? 9 : 11
# Points at the newest row, from the gaps between the panels.
middle_of(row) = panel_top + (row + 0.5) * row_height
mark(number, x) = sprintf("set label %d '▶' at screen %.9g,%.9g center font '%s' textcolor rgb blue", \
    number, across(x), down(middle_of(last_row) + 1), font("DejaVu Sans", row_points))

inside(weight) = weight > bar_limit * 0.75
bar_step = tick_step(bar_limit * (fewer_bits ? 3 : 2))
change_step = fewer_bits ? tick_step(change_limit * 4) : 0
change_colour(change) = change < 0 ? 0xb35f00 : 0x0072b2
kept_as(name) = fewer_bits ? ", ".escaped(name) : ""

unset grid
set border 0
set style fill solid noborder
set format x "%g"
set samples 25

do for [step = 1:n_steps] {
    last_row = newest(step)
    attention = folder."/attention.".step
    set multiplot
    unset tics

    # What stays is drawn once.
    if (step == 1) {
        eval fill(1, -1, -1, width + 1, height + 1, "#ffffff")
        eval fill(2, keys_left, panel_top, keys_left + panel_width, panel_bottom, unused)
        eval fill(3, values_left, panel_top, values_left + panel_width, panel_bottom, unused)
        set label 1 "KV cache at work: ".cut(model, 20).", layer ".layer.", head ".head \
            at screen across(18),down(24) font title_font textcolor rgb ink noenhanced
        set label 2 "{/:Bold Query} of the newest position" at screen across(keys_left),down(query_top - 14) \
            textcolor rgb ink
        set label 3 "{/:Bold Keys} in the cache".kept_as(keys_kept) at screen across(keys_left),headings \
            textcolor rgb ink
        set label 4 "{/:Bold Values} in the cache".kept_as(values_kept) at screen across(values_left),headings \
            textcolor rgb ink
        set label 5 "{/:Bold Attention weights}" at screen across(bars_left),headings textcolor rgb ink
        set label 6 sprintf("weight of a row = softmax(query · key / √%d)", head_size) \
            at screen across(values_left),down(query_top + 1) textcolor rgb faint
        set label 7 "output of the head = Σ weight × value" \
            at screen across(values_left),down(query_bottom - 1) textcolor rgb faint
        set label 8 "Tokens in blue were generated. The grey bar, of the first token, ends with the panel where it ". \
            "would dwarf the others: the number is its weight." \
            at screen across(18),down(height - 30) textcolor rgb faint noenhanced
        set label 9 sprintf("Colours reach to the 5th and 95th percentile of all steps, ±%.2g for the query. %s.", \
            query_limit, weights_in_words) at screen across(18),down(height - 14) textcolor rgb faint noenhanced
        if (fewer_bits) {
            set label 12 "{/:Bold Change} from float32" at screen across(change_left),headings textcolor rgb ink
            set label 13 marks_in_words." Change: weight less mark. Weight moved: half the sum of changes ". \
                "without sign." at screen across(18),down(height - 46) textcolor rgb faint noenhanced
        }
        set xrange [-1:1]
        set yrange [-1:1]
        do for [i = 1:2] {
            right = (i == 1 ? keys_left : values_left) + panel_width
            limit = sprintf("%.2g", i == 1 ? key_limit : value_limit)
            eval panel(right - 150, scales, right - 25, scales + 8)
            set label 10 "−".limit at graph 0,0.5 right offset char -0.7,0 textcolor rgb faint
            set label 11 limit at graph 1,0.5 left offset char 0.7,0 textcolor rgb faint
            plot "+" using 1:(0):($1 - 1 / 24.0):($1 + 1 / 24.0):(-1):(1):(shade($1, 1)) with boxxyerror lc rgb variable
            unset label
            unset object
        }
    }

    if (step > 1) {
        eval fill(1, 560, 4, width, 38, "#ffffff")
        eval fill(2, 0, 38, width, 62, "#ffffff")
        eval fill(3, 0, panel_top - 8, keys_left - 1, panel_bottom + 8, "#ffffff")
        eval fill(4, bars_left - 1, panel_top - 6, width, panel_bottom + 1, "#ffffff")
        eval fill(5, keys_left + panel_width + 2, panel_top - 8, values_left - 1, panel_bottom + 8, "#ffffff")
        eval fill(6, values_left + panel_width + 2, panel_top - 8, bars_left - 2, panel_bottom + 8, "#ffffff")
        if (fewer_bits) { eval fill(7, bars_left, query_top - 8, width, query_bottom + 8, "#ffffff") }
    }
    eval mark(4, (keys_left + panel_width + values_left) / 2)
    eval mark(5, (values_left + panel_width + bars_left) / 2)
    set label 1 counted_steps(step) at screen across(right_edge),down(24) right font title_font \
        textcolor rgb blue noenhanced
    set label 2 story(step) at screen across(18),down(50) textcolor rgb faint noenhanced
    if (fewer_bits) {
        set label 6 sprintf("largest change of a weight: %.2g", largest_change[step]) \
            at screen across(right_edge),down(query_top + 1) right textcolor rgb ink noenhanced
        set label 7 sprintf("weight moved (total variation): %.2g", most_moved[step]) \
            at screen across(right_edge),down(query_bottom - 1) right textcolor rgb ink noenhanced
    }
    eval panel(keys_left, query_top, keys_left + panel_width, query_bottom)
    set xrange [-0.5:head_size - 0.5]
    set yrange [-0.5:0.5]
    plot folder."/query.".step using 2:(0):($2 - 0.5):($2 + 0.5):(-0.5):(0.5): \
        (shade($3, query_limit)) with boxxyerror lc rgb variable
    unset label
    unset object

    set yrange [n_positions - 0.5:-0.5]
    eval panel(keys_left, panel_top, keys_left + panel_width, panel_bottom)
    set label 1 cut(token[last_row + 1], 9) at -0.5,last_row right \
        offset char left_of_row(column_of(last_row)),0 \
        font font("DejaVu Sans:Bold", row_points) textcolor rgb row_colour(last_row) noenhanced
    plot folder."/key.".step using 2:1:($2 - 0.5):($2 + 0.5):($1 - 0.5):($1 + 0.5): \
        (shade($3, key_limit)) with boxxyerror lc rgb variable, \
        for [c = 0:columns - 1] folder."/tokens" using \
        (-0.5):(row_is_labelled($1) && column_of($1) == c ? $1 : NaN):(cut(token[int($1) + 1], 9)):(row_colour($1)) \
        with labels right offset char left_of_row(c),0 font font("DejaVu Sans", row_points) \
        textcolor rgb variable noenhanced
    unset label
    eval panel(values_left, panel_top, values_left + panel_width, panel_bottom)
    plot folder."/value.".step using 2:1:($2 - 0.5):($2 + 0.5):($1 - 0.5):($1 + 0.5): \
        (shade($3, value_limit)) with boxxyerror lc rgb variable

    eval panel(bars_left, panel_top, bars_right, panel_bottom)
    set xrange [0:bar_limit]
    if (step == 1) { set xtics 0,bar_step,1 nomirror scale 0.4 textcolor rgb faint offset 0,0.3 }
    plot attention using (0):1:(0):(bar_end($2)):($1 - 0.4):($1 + 0.4):(bar_colour($1)) \
        with boxxyerror lc rgb variable, \
        attention every ::0::0 using (inside($2) ? bar_end($2) : NaN):1:(sprintf("%.2f", $2)) \
        with labels right offset char -0.5,0 textcolor rgb "#ffffff", \
        attention every ::0::0 using (inside($2) ? NaN : $2):1:(sprintf("%.2f", $2)) \
        with labels left offset char 0.5,0 textcolor rgb ink

    if (fewer_bits) {
        unset xtics
        plot attention using (bar_end($3)):($1 - 0.4):(0):(0.8) with vectors nohead lc rgb "#000000"
        eval panel(change_left, panel_top, change_right, panel_bottom)
        set xrange [-change_limit:change_limit]
        if (step == 1) {
            set xtics -change_step,change_step,change_step nomirror scale 0.4 textcolor rgb faint offset 0,0.3
        }
        set arrow 1 from 0,-0.5 to 0,n_positions - 0.5 nohead lc rgb "#888888"
        plot attention using (0):1:($2 < $3 ? $2 - $3 : 0):($2 < $3 ? 0 : $2 - $3):($1 - 0.4):($1 + 0.4): \
            (change_colour($2 - $3)) with boxxyerror lc rgb variable
        unset arrow
    }
    unset multiplot
}
