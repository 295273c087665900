# call "theme.gp" WIDTH HEIGHT ARG1 ARG2 ARG3 ARG4 ARG5
# What all figures share. WIDTH and HEIGHT are pixels of the SVG; the PNG has twice as many. The rest is what render.sh
# gives to a figure: the folder of the rows it draws, the picture to write, its format (png or svg), and how many rows
# were left out for their status and for their configuration.
width = ARG1 + 0
height = ARG2 + 0
rows = ARG3
not_ok = ARG6 + 0
other_rows = ARG7 + 0

set encoding utf8
set datafile separator tab
set datafile columnheaders
set datafile missing NaN

# A point of cairo is 4/3 pixels, one of svg is a pixel.
pixels_per_point = ARG5 eq "svg" ? 1.0 : 4 / 3.0
font(face, pixels) = sprintf("%s,%g", face, pixels / pixels_per_point)
if (ARG5 eq "svg") {
    set terminal svg size width,height font font("DejaVu Sans", 13) background "#ffffff" linewidth 1.2 enhanced
} else {
    set terminal pngcairo size 2 * width,2 * height font font("DejaVu Sans", 13) enhanced \
        fontscale 2 linewidth 2 pointscale 2
}
set output ARG4

ink = "#333333"
faint = "#666666"
set border 3 lc rgb "#888888"
set tics nomirror out scale 0.6 textcolor rgb ink
set grid lt -1 lc rgb "#d8d8d8" lw 0.75 dt solid
unset key

# The colours of Okabe and Ito, which stay apart for colour-blind readers; dashes and points do so in grey print.
# Path i of `paths` (runs.gp) is drawn in line style line_style(i) of every figure.
set style line 1 lc rgb "#d55e00" lw 1.8 dt (9,4)     pt 4  ps 1.1
set style line 2 lc rgb "#0072b2" lw 1.8 dt solid     pt 7  ps 0.7
set style line 3 lc rgb "#009e73" lw 1.8 dt (2,3)     pt 9  ps 0.9
set style line 4 lc rgb "#cc79a7" lw 1.8 dt (9,3,2,3) pt 13 ps 0.9
set style line 5 lc rgb "#e69f00" lw 1.8 dt (5,2)     pt 8  ps 0.9
set style line 6 lc rgb "#56b4e9" lw 1.8 dt (14,3)    pt 12 ps 0.9
line_style(i) = (i - 1) % 6 + 1
# Memory in use, memory reserved, and limits.
set style line 21 lc rgb "#984ea3" lw 1.8 dt solid pt 11 ps 0.9
set style line 22 lc rgb "#b07cba" lw 1.8 dt (7,4) pt 10 ps 0.9
set style line 31 lc rgb "#8c8c8c" lw 1.8 dt (3,3) pt 0
memory_style = 21
reserved_style = 22
limit_style = 31

# Steps of 1, 2 or 5 that divide 0..high in about six; large numbers in few characters.
step_of(rough, power) = power * (rough < 1.5 * power ? 1 : rough < 3.5 * power ? 2 : rough < 7.5 * power ? 5 : 10)
tick_step(high) = step_of(high / 6.0, 10.0 ** floor(log10(high / 6.0)))
tick_label(value) = value < 1e4 ? sprintf("%.10g", value) : value < 1e6 ? sprintf("%gk", value / 1e3) : \
    sprintf("%gM", value / 1e6)

# Lists of words: one with that word, added once if it is not empty, and where the word is.
with_word(list, name) = name eq "" || strstrt(list." ", " ".name." ") ? list : list." ".name
index_in(list, name) = words((list." ")[1:strstrt(list." ", " ".name." ")]) + 1

# Names inside of enhanced text.
escaped(name) = name eq "" ? "" : (strstrt("_^@&~{}", name[1:1]) ? "\\" : "").name[1:1].escaped(name[2:*])

counted(n, noun) = n." ".noun.(n eq "1" ? "" : "s")

# Bounds from group.awk, which are empty when there is nothing.
number(text) = text eq "" ? 0 : text + 0
smaller(a, b) = b eq "" || (a ne "" && a + 0 < b + 0) ? a : b
larger(a, b) = b eq "" || (a ne "" && a + 0 > b + 0) ? a : b

# For footnotes; `fewest` and `most` are from group.awk.
repetitions(x) = fewest == most ? sprintf("n = %d", most) : sprintf("n = %d to %d", fewest, most)
rows_left_out(n, why) = n > 0 ? "  Left out: ".counted(sprintf("%d", n), "row").why : ""
left_out(x) = rows_left_out(not_ok, " that did not end ok.").rows_left_out(other_rows, " of another configuration.")
medians_note(x) = most == 1 ? "Points: one repetition (n = 1), so no interval." : \
    "Points: median of the repetitions (".repetitions(0)."). Bars: smallest to largest."
