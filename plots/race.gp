# gnuplot -c race.gp FOLDER
# One text without and with a KV cache, a turn a word, from FOLDER/race.tsv, what kvbench race recorded. On the left the
# rows of all words are lit at each turn, on the right that of the new one; below, how much was computed and the time.
#
# A turn has three frames: in the first the word has come, in the others its keys and values are computed.
call "animation.gp" ARG1 800 800 36
file = table("race")

stats file using 0 nooutput
n_words = int(STATS_records)
array text[n_words]
array turn_of_row[n_words]
array computed[2 * n_words]
array ms[2 * n_words]
unit = ""; model = ""; threads = 0; runs = 0; kv_bytes = 0
stats file using (i = int($0) + 1, text[i] = strcol("word"), turn_of_row[i] = int(column("turn")), \
    computed[i] = column("naive_rows"), computed[n_words + i] = column("cached_rows"), \
    ms[i] = column("naive_ms"), ms[n_words + i] = column("cached_ms"), \
    unit = strcol("unit"), model = strcol("model"), threads = int(column("threads")), runs = int(column("runs")), \
    kv_bytes = column("kv_bytes"), 0) nooutput
n_turns = turn_of_row[n_words]
n_prompt = sum [i = 1:n_words] (turn_of_row[i] == 1)

# ---- Words -------------------------------------------------------------------------------------------------
thousands(n) = n < 1000 ? sprintf("%d", n) : sprintf("%d,%03d", int(n) / 1000, int(n) % 1000)
time_text(ms) = ms < 9.95 ? sprintf("%.1f ms", ms) : ms < 999.5 ? sprintf("%.0f ms", ms) : sprintf("%.1f s", ms / 1000)
size_text(bytes) = bytes < 1048576 ? sprintf("%.0f KiB", bytes / 1024.0) : sprintf("%.1f MiB", bytes / 1048576.0)
times_text(x) = x < 9.95 ? sprintf("%.1f", x) : sprintf("%.0f", x)
word_at(i) = cut(text[int(i)], 12)

# The sentence in two lines, broken where the whole of it has its middle.
length_to(i) = i < 1 ? 0 : sum [k = 1:i] (strlen(word_at(k)) + 1)
array line_of[n_words]
do for [i = 1:n_words] { line_of[i] = length_to(n_words) < 50 || length_to(i) <= 46 ? 1 : 2 }
said(line, last, newest) = line_from(1, line, last, newest)
line_from(i, line, last, newest) = i > last ? "" : (line_of[i] != line ? "" : i == newest ? \
    "{/:Bold ".escaped(word_at(i))."} " : escaped(word_at(i))." ").line_from(i + 1, line, last, newest)

story(turn, last) = turn == 1 ? \
    "The prompt: both compute the keys and values of its ".counted(sprintf("%d", last), "word")."." : \
    sprintf("Adds “%s”: left computes all %d words, right only this one.", word_at(last), last)
total = sprintf("Same text, %s × as fast. The price: %s of memory.", \
    times_text(ms[n_words] / ms[2 * n_words]), size_text(kv_bytes))
source = sprintf("Measured: %s, %s, each %s's median of %s, by ./kvbench race.", cut(model, 24), \
    counted(sprintf("%d", threads), "thread"), unit, counted(sprintf("%d", runs), "run"))

# ---- Places ------------------------------------------------------------------------------------------------
text_font = font("DejaVu Sans", 16)
bold_font = font("DejaVu Sans:Bold", 16)
head_font = font("DejaVu Sans:Bold", 19)
number_font = font("DejaVu Sans:Bold", 24)
note_font = font("DejaVu Sans", 14)
small_font = font("DejaVu Sans", 11)

rows_top = 226
pitch = 364 / n_words > 40 ? 40 : 364 / n_words
counters = 624
bars = 674
bar_left = 116
bar_right = 690
left_of(side) = side == 1 ? 18 : 418
colour_of(side) = side == 1 ? red : blue
# gnuplot centres the text a little too high.
middle_of(y) = down(y + 5)

# What a row shows: 0 nothing, 1 it is empty, 2 kept, 3 computed in this turn.
lit_colour(side, state) = state == 1 ? "#ececec" : state == 2 ? "#b5d6ea" : colour_of(side)
state_of(side, row, turn, lit) = turn_of_row[row] > turn ? 0 : \
    lit && (side == 1 || turn_of_row[row] == turn) ? 3 : side == 2 && turn_of_row[row] < turn ? 2 : 1
array shown[2 * n_words]
do for [i = 1:2 * n_words] { shown[i] = 0 }

set border 0
unset tics
unset grid
set lmargin at screen 0; set rmargin at screen 1; set tmargin at screen 1; set bmargin at screen 0
set xrange [0:1]
set yrange [0:1]

n_frames = 3 * n_turns + 9
do for [frame = 1:n_frames] {
    over = frame > 3 * n_turns
    turn = over ? n_turns : (frame + 2) / 3
    lit = over || frame % 3 != 1
    last = int(sum [i = 1:n_words] (turn_of_row[i] <= turn))
    done = lit ? last : int(sum [i = 1:n_words] (turn_of_row[i] < turn))
    unset label
    unset object
    n = 1
    if (frame == 1) {
        eval fill(n, -1, -1, width + 1, height + 1, "#ffffff"); n = n + 1
        set label n "What a KV cache saves" at screen across(18),down(24) font head_font textcolor rgb ink; n = n + 1
        set label n "To write a word, a model needs the keys and values of all words before it." \
            at screen across(18),down(54) font note_font textcolor rgb faint; n = n + 1
        set label n source at screen across(18),down(784) font small_font textcolor rgb faint noenhanced; n = n + 1
        do for [side = 1:2] {
            set label n side == 1 ? "Without a cache" : "With a KV cache" at screen across(left_of(side)),down(164) \
                font head_font textcolor rgb colour_of(side); n = n + 1
            set label n side == 1 ? "computes all of them every time" : "computes the new one, keeps the rest" \
                at screen across(left_of(side)),down(190) font note_font textcolor rgb faint; n = n + 1
            set label n "keys" at screen across(left_of(side) + 190),down(213) center font note_font textcolor rgb faint
            n = n + 1
            set label n "values" at screen across(left_of(side) + 302),down(213) center font note_font \
                textcolor rgb faint
            n = n + 1
            set label n unit."s computed" at screen across(left_of(side) + 110),middle_of(counters) font text_font \
                textcolor rgb faint; n = n + 1
            set label n side == 1 ? "without" : "with" at screen across(18),middle_of(bars + 32 * (side - 1)) \
                font text_font textcolor rgb colour_of(side); n = n + 1
        }
    }
    do for [side = 1:2] {
        x = left_of(side)
        do for [row = 1:last] {
            i = (side - 1) * n_words + row
            state = state_of(side, row, turn, lit)
            if (state != shown[i]) {
                y = rows_top + pitch * (row - 1)
                if (shown[i] == 0) {
                    set label n word_at(row) at screen across(x + 128),middle_of(y + 0.5 * pitch) right font text_font \
                        textcolor rgb ink noenhanced; n = n + 1
                }
                eval fill(n, x + 138, y + 2, x + 242, y + pitch - 2, lit_colour(side, state)); n = n + 1
                eval fill(n, x + 250, y + 2, x + 354, y + pitch - 2, lit_colour(side, state)); n = n + 1
                shown[i] = state
            }
        }
        at = (side - 1) * n_words + done
        if (lit && !over && done > 0) {
            eval fill(n, x, counters - 22, x + 108, counters + 18, "#ffffff"); n = n + 1
            set label n thousands(computed[at]) at screen across(x + 100),middle_of(counters) right font number_font \
                textcolor rgb colour_of(side); n = n + 1
            end = bar_left + (bar_right - bar_left) * ms[at] / ms[n_words]
            y = bars + 32 * (side - 1)
            eval fill(n, bar_left, y - 16, width, y + 16, "#ffffff"); n = n + 1
            eval fill(n, bar_left, y - 11, end, y + 11, colour_of(side)); n = n + 1
            set label n time_text(ms[at]) at screen across(end + 10),middle_of(y) font bold_font \
                textcolor rgb ink; n = n + 1
        }
    }
    if (frame % 3 == 1 && !over || frame == 3 * n_turns + 1) {
        eval fill(n, 0, 76, width, 144, "#ffffff"); n = n + 1
        do for [line = 1:2] {
            set label n said(line, last, over ? 0 : last) at screen across(18),down(66 + 28 * line) font text_font \
                textcolor rgb ink; n = n + 1
        }
        eval fill(n, 0, 722, width, 764, "#ffffff"); n = n + 1
        set label n over ? total : story(turn, last) at screen across(18),down(744) font over ? bold_font : text_font \
            textcolor rgb ink noenhanced; n = n + 1
    }
    plot -1 notitle
}
