# What the steps of each path have to do, from the rows of runs.csv that measured them, and what the machine can do.
#
#   awk -f sort.awk -f work.awk -f FIGURE.awk RUNS_CSV LIMITS_CSV
#
# A row has the flops and bytes of its mean step, of B sequences. With S flops to multiply one position by every weight
# (2 flops for 4 bytes of weights), k bytes kept a position, and q = k / 2 flops of attention between two positions
# (k = 8 L C bytes, q = 4 L C flops), a step that keeps keys and values does, at t positions,
#   flops = B (S + q t)    bytes = 2 S + B k t
# and one that keeps nothing runs all of them, each against those before it, and the LM head for the last alone:
#   flops = B (D t + S - D + q t (t + 1) / 2)    bytes = 2 S
# The prompt costs the same flops. k is known from a path that keeps, D from one that does not. A group is a path and
# a batch.

BEGIN {
    FS = "\t"
    CONVFMT = "%.10g"
}

function field(name)
{
    return $column[name]
}

FNR == 1 {
    file++
    for (i = 1; i <= NF; i++)
        column[$i] = i
    next
}

file == 1 && field("flops") != "" && field("bytes") != "" {
    g = field("path") "\t" field("batch")
    B[g] = field("batch")
    flops[g] = field("flops")
    bytes[g] = field("bytes")
    k[g] = field("kv_live_bytes") / B[g] / field("context_tokens")
    prompt[g] = field("prompt_tokens")
    last[g] = field("context_tokens")
    threads = field("threads")
    if (!(g in n))
        groups[++n_groups] = g
    n[g]++
    ttft[g, n[g]] = field("ttft_ms")
    ttpt[g, n[g]] = field("ttpt_ms")
    if (k[g] > 0)
        q = k[g] / 2
}

file == 2 && field("threads") == threads {
    bandwidth = field("read_bytes_per_s") > bandwidth ? field("read_bytes_per_s") + 0 : bandwidth
    peak = field("fma_flop_per_s") > peak ? field("fma_flop_per_s") + 0 : peak
}

# Windows of the measured steps: prompt + 1 .. last.
function mean_window(g)
{
    return (prompt[g] + 1 + last[g]) / 2
}

function sum_of_squares(t)
{
    return t * (t + 1) * (2 * t + 1) / 6
}

function mean_square_window(g)
{
    return (sum_of_squares(last[g]) - sum_of_squares(prompt[g])) / (last[g] - prompt[g])
}

function flops_of_weights(g)
{
    return (bytes[g] - B[g] * k[g] * mean_window(g)) / 2
}

# D, or 0 when every path keeps something.
function flops_of_layers(    g, t)
{
    for (g in n)
        if (k[g] == 0) {
            t = mean_window(g)
            return (flops[g] / B[g] - flops_of_weights(g) - q * (mean_square_window(g) + t) / 2) / (t - 1)
        }
    return 0
}

function flops_of_window(g, D, t)
{
    return B[g] * (D * t + flops_of_weights(g) - D + q * t * (t + 1) / 2)
}

function least_seconds(flops, bytes)
{
    return bytes / bandwidth > flops / peak ? bytes / bandwidth : flops / peak
}
