# call "panel.gp" NAME TITLE UNIT SCALE
# One panel: the medians of the datablock $NAME (medians.gp) against its keys, a line a path, with bars from the
# smallest to the largest. The x axis is the caller's. SCALE is linear, or auto: logarithmic over more than 1.5 decades.
unset logscale y
set autoscale y
set ytics ()
unset label 100
stats $@ARG1 using "low" name "LOW" nooutput
stats $@ARG1 using "high" name "HIGH" nooutput
empty = !exists("LOW_records")
low = empty ? 0 : LOW_min
high = empty || HIGH_max <= 0 ? 1 : HIGH_max
logarithmic = ARG4 eq "auto" && low > 0 && high > low * 10 ** 1.5
if (logarithmic) {
    set logscale y
    set yrange [low / 1.3:high * 1.3]
    do for [exponent = floor(log10(low)):ceil(log10(high))] {
        do for [digit in high > low * 10 ** 3 ? "1" : "1 2 5"] {
            set ytics add (tick_label(digit * 10.0 ** exponent) digit * 10.0 ** exponent)
        }
    }
} else {
    # A line at zero is kept clear of the axis.
    set yrange [low > 0 ? 0 : -0.04 * high:high * 1.06]
    step = tick_step(high)
    do for [i = 0:int(high * 1.06 / step)] { set ytics add (empty ? "" : tick_label(i * step) i * step) }
}
if (empty) { set label 100 "not measured" at graph 0.5,0.5 center textcolor rgb faint }
set label 101 "{/:Bold ".ARG2."}  ".ARG3.(logarithmic ? ", log scale" : "") at graph 0,1.07 textcolor rgb ink
plot for [i = 1:words(paths)] $@ARG1 \
    using (strcol("path") eq word(paths, i) ? column("key") : NaN):"low":(0):(column("high") - column("low")) \
    with vectors heads size screen 4.0 / width,90 ls line_style(i) dt solid lw 1.2 title word(paths, i), \
    for [i = 1:words(paths)] $@ARG1 \
    using (strcol("path") eq word(paths, i) ? column("key") : NaN):"median" \
    with linespoints ls line_style(i) title word(paths, i)
