# How the step latencies of each path are distributed, the first token's (TTFT) apart.
#
#   awk -f sort.awk -f distribution.awk TOKENS_CSV
#
# gnuplot commands: the datablock $distribution with the share of steps that took at most so many ms, at 400 steps at
# most; $percentiles with p50, p95 and p99 and n of each path, where a percentile needs as many samples as leave one
# above it; steps_low and steps_high.

BEGIN { FS = "\t" }

NR == 1 {
    for (i = 1; i <= NF; i++)
        column[$i] = i
    next
}

$column["token"] > 1 { ms[$column["path"], ++n[$column["path"]]] = $column["latency_ns"] / 1e6 }

function sorted_steps(path,    i)
{
    for (i = 1; i <= n[path]; i++)
        sample[i] = ms[path, i]
    sort_numbers(sample, n[path])
}

END {
    print "$distribution << END_OF_DISTRIBUTION"
    print "path\tms\tshare"
    percentiles = "path\tn\tpercentile\tms"
    for (path in n) {
        sorted_steps(path)
        steps_low = steps_low == "" || sample[1] < steps_low ? sample[1] : steps_low
        steps_high = sample[n[path]] > steps_high ? sample[n[path]] : steps_high
        stride = n[path] > 400 ? n[path] / 400 : 1
        printf "%s\t%.10g\t0\n", path, sample[1]
        for (i = 1; i < n[path]; i += stride)
            printf "%s\t%.10g\t%.10g\n", path, sample[int(i)], int(i) / n[path]
        printf "%s\t%.10g\t1\n", path, sample[n[path]]
        for (p = 50; p <= 99; p += p == 50 ? 45 : 4)
            if (n[path] * (100 - p) >= 100)
                percentiles = percentiles sprintf("\n%s\t%d\t%d\t%.10g", path, n[path], p,
                    quantile(sample, n[path], p / 100))
    }
    print "END_OF_DISTRIBUTION"
    print "$percentiles << END_OF_PERCENTILES\n" percentiles "\nEND_OF_PERCENTILES"
    printf "steps_low = \"%s\"\nsteps_high = \"%s\"\n", steps_low, steps_high
}
