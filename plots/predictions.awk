# gnuplot commands: the datablock $predictions with the least milliseconds of every token of every path (work.awk), the
# first being the prompt's; `predictions`, how many; predictions_low, the least.

function limit_ms(g, D, t,    further)
{
    if (t == prompt[g] || k[g] == 0)
        return 1e3 * least_seconds(flops_of_window(g, D, t), 2 * flops_of_weights(g) + B[g] * k[g] * t)
    further = t - mean_window(g)
    return 1e3 * least_seconds(flops[g] + B[g] * q * further, bytes[g] + B[g] * k[g] * further)
}

END {
    D = flops_of_layers()
    print "$predictions << END_OF_PREDICTIONS"
    print "path\ttoken\tlimit_ms"
    for (g in n) {
        # Without D the flops of a whole window are unknown.
        for (t = prompt[g] + (D ? 0 : 1); bandwidth && t <= last[g]; t++) {
            limit = limit_ms(g, D, t)
            low = !count++ || limit < low ? limit : low
            print substr(g, 1, index(g, "\t") - 1) "\t" t - prompt[g] + 1 "\t" limit
        }
    }
    print "END_OF_PREDICTIONS"
    print "predictions = " count + 0
    print "predictions_low = \"" low "\""
}
