# A training run: loss on the training and on the held-out text against tokens seen, in nats and bits, and the learning
# rate below.
load ARG1."/settings"
call "theme.gp" 900 560 ARG1 ARG2 ARG3

bits(nats) = nats / log(2)
duration(s) = s < 120 ? sprintf("%.0f s", s) : s < 7200 ? sprintf("%.0f min", s / 60) : sprintf("%.1f h", s / 3600)
large(n) = n < 1e4 ? sprintf("%.0f", n) : n < 1e6 ? sprintf("%.4gk", n / 1e3) : sprintf("%.4gM", n / 1e6)
title = "Training: loss against tokens seen"
subtitle = counted(sprintf("%.0f", last_step), "step").", ".large(last_tokens)." tokens" \
    .(seconds != seconds ? "" : " in ".duration(seconds))
footnote = "Training loss: mean of the steps since the evaluation before. Validation loss: mean over the held-out " \
    ."text.\nBoth are cross-entropies per token; 1 nat = 1.443 bits."
call "title.gp" title subtitle footnote
call "legend_entry.gp" train_style "training loss"
call "legend_entry.gp" validation_style "validation loss"
call "legend_entry.gp" rate_style "learning rate"

# Ticks of both axes of the loss: multiples of a step where it is linear, some of 1 to 9 where it is logarithmic.
logarithmic = highest > 2 * least
scale_note = logarithmic ? ", log scale" : ""
margin = logarithmic ? 0 : highest > least ? 0.06 * (highest - least) : 0.05 * least
from = logarithmic ? least / 1.06 : least - margin
to = logarithmic ? highest * 1.06 : highest + margin
digits = highest > 20 * least ? "1 2 5" : "1 1.2 1.5 2 2.5 3 4 5 6 8"
add_tick(axis, x) = sprintf("set %stics add (\"%.10g\" %.10g);", axis, x, x)
do for [axis in "y y2"] {
    unit = axis eq "y" ? 1 : log(2)
    eval "set ".axis."tics ()"
    eval sprintf("set %srange [%.10g:%.10g]", axis, from / unit, to / unit)
    if (logarithmic) {
        eval "set logscale ".axis
        do for [exponent = floor(log10(from / unit)):ceil(log10(to / unit))] {
            do for [digit in digits] { eval add_tick(axis, digit * 10.0 ** exponent) }
        }
    } else {
        step = tick_step((to - from) / unit)
        do for [i = ceil(from / unit / step):floor(to / unit / step)] { eval add_tick(axis, i * step) }
    }
}

points_every = int(n_rows) / 16 + 1
set xrange [0:(last_tokens > 0 ? last_tokens * 1.02 : 1)]
set xtics ()
token_step = tick_step(last_tokens > 0 ? last_tokens : 1)
do for [i = 0:int(last_tokens * 1.02 / token_step)] { set xtics add ("" i * token_step) }
set multiplot
set lmargin at screen 0.075
set rmargin at screen 0.925
set tmargin at screen legend_y - 47.0 / height
set bmargin at screen 212.0 / height
set border 11
call "panel_title.gp" "Loss" "nats per token"
set label 102 "bits per token" at graph 1,graph 1 right offset screen 0.05,screen 17.0 / height textcolor rgb ink
if (lowest > 0) {
    lowest_text = sprintf("lowest validation loss: %.3f nats, %.3f bits, after step %.0f", lowest, bits(lowest), \
        lowest_step).(last > lowest ? sprintf("\nlast: %.3f nats, %.3f bits", last, bits(last)) : "")
    justified = lowest_tokens > 0.5 * last_tokens ? "right offset screen -0.008,0" : "left offset screen 0.008,0"
    set arrow 101 from lowest_tokens,graph 0.98 to lowest_tokens,lowest nohead ls limit_style lw 1.2
    eval "set label 103 lowest_text at lowest_tokens,graph 0.95 ".justified." textcolor rgb ink noenhanced"
}
plot table("training") using "tokens":"train_loss" with linespoints ls train_style pi points_every, \
    table("training") using "tokens":"validation_loss" with linespoints ls validation_style pi points_every
unset label
unset arrow

set border 3
unset y2tics
unset logscale
set tmargin at screen 1 - 400.0 / height
set bmargin at screen 112.0 / height
set xlabel "Tokens seen" offset 0,0.2 textcolor rgb ink
set xtics ()
do for [i = 0:int(last_tokens * 1.02 / token_step)] { set xtics add (tick_label(i * token_step) i * token_step) }
rate_step = highest_rate > 0 ? tick_step(3 * highest_rate) : 1
set yrange [0:highest_rate > 0 ? 1.1 * highest_rate : 1]
set ytics ()
do for [i = 0:int(1.1 * highest_rate / rate_step)] { set ytics add (sprintf("%.4g", i * rate_step) i * rate_step) }
scale_note = ""
call "panel_title.gp" "Learning rate" "at the evaluations"
plot table("training") using "tokens":"learning_rate" with lines ls rate_style
unset multiplot
