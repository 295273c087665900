# gnuplot commands: the datablock $phases with flops a byte and GFLOPS of the prompt (prefill) and the mean step
# (decode) of every path and batch (work.awk), at the median time; n_decode and n_prefill, how many; bandwidth in GB/s
# and peak in GFLOPS; the bounds of all. Every path prefills alike: it is given for the first that keeps something,
# or else the first.

function median(times, g,    i, sample)
{
    for (i = 1; i <= n[g]; i++)
        sample[i] = times[g, i]
    sort_numbers(sample, n[g])
    return quantile(sample, n[g], 0.5)
}

function print_phase(phase, g, flops, bytes, ms,    intensity, gflops)
{
    intensity = flops / bytes
    gflops = flops / ms / 1e6
    left = left == "" || intensity < left ? intensity : left
    right = intensity > right ? intensity : right
    bottom = bottom == "" || gflops < bottom ? gflops : bottom
    count[phase]++
    top = gflops > top ? gflops : top
    print phase "\t" g "\t" intensity "\t" gflops | "sort -t '\t' -k 1,2 -k 3,3g"
}

function path_of(g)
{
    return substr(g, 1, index(g, "\t") - 1)
}

function prefill_path(    i)
{
    for (i = 1; i <= n_groups; i++)
        if (k[groups[i]] > 0)
            return path_of(groups[i])
    return path_of(groups[1])
}

END {
    D = flops_of_layers()
    prefills = prefill_path()
    print "$phases << END_OF_PHASES"
    print "phase\tpath\tbatch\tintensity\tgflops"
    fflush()
    for (g in n) {
        if (median(ttpt, g) > 0)
            print_phase("decode", g, flops[g], bytes[g], median(ttpt, g))
        if (D && path_of(g) == prefills && median(ttft, g) > 0)
            print_phase("prefill", g, flops_of_window(g, D, prompt[g]),
                2 * flops_of_weights(g) + B[g] * k[g] * prompt[g], median(ttft, g))
    }
    close("sort -t '\t' -k 1,2 -k 3,3g")
    print "END_OF_PHASES"
    printf "n_decode = %d\nn_prefill = %d\n", count["decode"], count["prefill"]
    printf "bandwidth = %.10g\npeak = %.10g\n", bandwidth / 1e9, peak / 1e9
    printf "left = %.10g\nright = %.10g\nbottom = %.10g\ntop = %.10g\n", left, right, bottom, top
}
