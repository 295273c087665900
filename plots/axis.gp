# call "axis.gp" AXIS LOW HIGH SCALE
# The x or y axis for values from LOW to HIGH (empty: there are none). SCALE is linear, log, or auto: logarithmic over
# more than 1.5 decades. Sets `logarithmic`, and `scale_note` for the words beside the axis.
low = number(ARG2)
high = number(ARG3) > 0 ? ARG3 + 0 : 1
logarithmic = low > 0 && (ARG4 eq "log" || (ARG4 eq "auto" && high > low * 10 ** 1.5))
scale_note = logarithmic ? ", log scale" : ""
tick = "set ".ARG1."tics add (\"%s\" %.10g)"
eval "unset logscale ".ARG1
eval "set ".ARG1."tics ()"
if (logarithmic) {
    eval "set logscale ".ARG1
    eval sprintf("set %srange [%.10g:%.10g]", ARG1, low / 1.3, high * 1.3)
    do for [exponent = floor(log10(low)):ceil(log10(high))] {
        do for [digit in high > low * 10 ** 3 && ARG1 eq "y" ? "1" : "1 2 5"] {
            eval sprintf(tick, tick_label(digit * 10.0 ** exponent), digit * 10.0 ** exponent)
        }
    }
} else {
    # A line at zero is kept clear of the axis.
    eval sprintf("set %srange [%.10g:%.10g]", ARG1, low > 0 ? 0 : -0.04 * high, high * 1.06)
    step = tick_step(high)
    do for [i = 0:int(high * 1.06 / step)] { eval sprintf(tick, ARG3 eq "" ? "" : tick_label(i * step), i * step) }
}
