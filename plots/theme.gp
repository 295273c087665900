# call "theme.gp" WIDTH HEIGHT ARG1 ARG2 ARG3
# What all figures share. WIDTH and HEIGHT are pixels of the SVG; the PNG has twice as many. The rest is what render.sh
# gives to a figure: the folder of its tables and settings, the picture to write, and its format (png, svg, or narrow: an
# SVG for phones).
width = ARG1 + 0
height = ARG2 + 0
folder = ARG3
table(name) = folder."/".name.".tsv"

set encoding utf8
set datafile separator tab
set datafile columnheaders
set datafile missing NaN

# A point of cairo is 4/3 pixels, one of svg is a pixel.
pixels_per_point = ARG5 eq "png" ? 4 / 3.0 : 1.0
font(face, pixels) = sprintf("%s,%g", face, pixels / pixels_per_point)
if (ARG5 ne "png") {
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
# Arm i of a figure (settings: arm, arm_style) is drawn in line style style_of(i).
colours = "#d55e00 #0072b2 #009e73 #cc79a7 #e69f00 #56b4e9"
set style line 1 lc rgb word(colours, 1) lw 1.8 dt (9,4)     pt 4  ps 1.1
set style line 2 lc rgb word(colours, 2) lw 1.8 dt solid     pt 7  ps 0.7
set style line 3 lc rgb word(colours, 3) lw 1.8 dt (2,3)     pt 9  ps 0.9
set style line 4 lc rgb word(colours, 4) lw 1.8 dt (9,3,2,3) pt 13 ps 0.9
set style line 5 lc rgb word(colours, 5) lw 1.8 dt (5,2)     pt 8  ps 0.9
set style line 6 lc rgb word(colours, 6) lw 1.8 dt (14,3)    pt 12 ps 0.9
do for [i = 7:12] {
    set style line i lc rgb word(colours, i - 6) lw 1.3 dt (7,2,1,2) pt int(word("6 5 8 12 11 13", i - 6)) ps 0.9
}
style_of(i) = (arm_style[i] - 1) % 12 + 1
of(i) = column("arm") == i
# Memory in use, memory reserved, and limits.
set style line 21 lc rgb "#984ea3" lw 1.8 dt solid pt 11 ps 0.9
set style line 22 lc rgb "#b07cba" lw 1.8 dt (7,4) pt 10 ps 0.9
set style line 31 lc rgb "#8c8c8c" lw 1.8 dt (3,3) pt 0
set style line 32 lc rgb "#8c8c8c" lw 1.2 dt solid pt 0
memory_style = 21
reserved_style = 22
limit_style = 31
# Memory of an arm: purple, or the arm's own colour where several arms keep something.
memory_line(i) = 60 + i
memory_colour(i, colour) = n_keeping > 1 ? word(colours, (style_of(i) - 1) % 6 + 1) : colour
peak_style = 32
# A prefill, which is alike for all arms, and the lines of a training.
set style line 41 lc rgb "#333333" lw 1.2 dt (2,3) pt 8 ps 1.1
set style line 42 lc rgb "#e69f00" lw 1.4 dt (6,3) pt 8 ps 0.7
set style line 43 lc rgb "#009e73" lw 1.8 dt solid pt 7 ps 0.6
set style line 44 lc rgb "#8c8c8c" lw 1.4 dt solid pt 0
prefill_style = 41
train_style = 42
validation_style = 43
rate_style = 44

# Steps of 1, 2 or 5 that divide 0..high in about six; large numbers in few characters.
step_of(rough, power) = power * (rough < 1.5 * power ? 1 : rough < 3.5 * power ? 2 : rough < 7.5 * power ? 5 : 10)
tick_step(high) = step_of(high / 6.0, 10.0 ** floor(log10(high / 6.0)))
tick_label(value) = value < 1e4 ? sprintf("%.10g", value) : value < 1e6 ? sprintf("%gk", value / 1e3) : \
    sprintf("%gM", value / 1e6)

# Of kernels: colour and points tell the instruction set, dashes and open points who computes the products. Attention
# (form -1) has the colours with points of its own, so that no two series look alike.
kernel_style(i) = 50 + i
do for [i = 1:exists("is_rows") ? n_arms : 0] {
    nth = (arm_style[i] - 1) % 8 + 1
    set style line kernel_style(i) lc rgb word("#000000 #009e73 #cc79a7 #56b4e9 #e69f00 #d55e00 #0072b2 #7f7f7f", nth) \
        lw 1.6 ps 0.75 \
        pt arm_form[i] < 0 ? int(word("9 7 13 11 15 5 1 2", nth)) : \
        int(word("4 8 6 12 10 14 2 1", nth)) + (arm_form[i] > 1)
    if (arm_form[i] == 1) { set style line kernel_style(i) dt (7,4) }
    if (arm_form[i] > 2) { set style line kernel_style(i) dt (2,2) }
}

# Names inside of enhanced text.
escaped(name) = name eq "" ? "" : (strstrt("_^@&~{}", name[1:1]) ? "\\" : "").name[1:1].escaped(name[2:*])

# Lines of at most so many characters, broken at spaces.
space_before(text, n) = n < 2 || text[n:n] eq " " ? n : space_before(text, n - 1)
broken(text, most) = strstrt(text, "\n") ? broken(text[1:strstrt(text, "\n") - 1], most)."\n" \
    .broken(text[strstrt(text, "\n") + 1:*], most) : strlen(text) <= most ? text : \
    text[1:space_before(text, most + 1) - 1]."\n".broken(text[space_before(text, most + 1) + 1:*], most)
# How a text of a drawing for phones is broken; others stay as they are.
fitted(text) = width < 600 ? broken(text, 54) : text

lines_of(text) = words(text) ? 1 + strlen(text) - strlen(joined(text)) : 1
# A text without its line breaks.
joined(text) = strstrt(text, "\n") ? text[1:strstrt(text, "\n") - 1].joined(text[strstrt(text, "\n") + 1:*]) : text

counted(n, noun) = n." ".noun.(n eq "1" ? "" : "s")

# Bounds of the settings, which are empty when there is nothing.
number(text) = text eq "" ? 0 : text + 0
smaller(a, b) = b eq "" || (a ne "" && a + 0 < b + 0) ? a : b
larger(a, b) = b eq "" || (a ne "" && a + 0 > b + 0) ? a : b

# For footnotes.
repetitions(x) = fewest == most ? sprintf("n = %d", most) : sprintf("n = %d to %d", fewest, most)
rows_left_out(n, why) = n > 0 ? "  Left out: ".counted(sprintf("%d", n), "row").why : ""
left_out(x) = rows_left_out(not_ok, " that did not end ok.").rows_left_out(other_rows, " of another configuration.")
medians_note(x) = most == 1 ? "Points: one repetition (n = 1), so no interval." : \
    "Points: median of the repetitions (".repetitions(0).")." \
    .(fewest < 6 ? " Bars: smallest to largest." : " Bars: 95 % interval over the rounds.")
