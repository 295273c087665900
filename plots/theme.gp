# call "theme.gp" WIDTH HEIGHT ARG1 ARG2 ARG3 ARG4
# What all figures share. WIDTH and HEIGHT are pixels of the SVG; the PNG has twice as many. The rest is what render.sh
# gives to a figure: the rows it draws, the picture to write, its format (png or svg), and how many rows were left out
# because their status is not ok.
width = ARG1 + 0
height = ARG2 + 0
rows = ARG3
left_out = ARG6 + 0

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

# Steps of 1, 2 or 5 that divide 0..high in about six; large numbers in few characters.
step_of(rough, power) = power * (rough < 1.5 * power ? 1 : rough < 3.5 * power ? 2 : rough < 7.5 * power ? 5 : 10)
tick_step(high) = step_of(high / 6.0, 10.0 ** floor(log10(high / 6.0)))
tick_label(value) = value < 1e4 ? sprintf("%.10g", value) : value < 1e6 ? sprintf("%gk", value / 1e3) : \
    sprintf("%gM", value / 1e6)
