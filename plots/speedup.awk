# awk -f sort.awk -f speedup.awk RUNS_CSV
#
# gnuplot commands: the datablock $speedup with every path but naive, number of the batch and of the length (from 1),
# the medians of both steps and their ratio (NaN: not measured), for every batch and length that any path has; `others`,
# those paths; `batches` and `lengths`; best_speedup, 0 when there is none; missing, the cells without.

BEGIN { FS = "\t" }

NR == 1 {
    for (i = 1; i <= NF; i++)
        column[$i] = i
    next
}

{
    if ($column["path"] != "naive" && !($column["path"] in known)) {
        known[$column["path"]]
        others = others " " $column["path"]
    }
    batch[$column["batch"] + 0]
    size[$column["context_tokens"] + 0]
}

$column["ttpt_ms"] != "" {
    cell = $column["path"] "\t" $column["batch"] + 0 "\t" $column["context_tokens"] + 0
    ms[cell, ++n[cell]] = $column["ttpt_ms"]
}

function median(cell,    i, sample)
{
    for (i = 1; i <= n[cell]; i++)
        sample[i] = ms[cell, i] + 0
    sort_numbers(sample, n[cell])
    return n[cell] ? quantile(sample, n[cell], 0.5) : "NaN"
}

# The different numbers in rising order; returns how many.
function sorted_keys(from, to,    k, count)
{
    for (k in from)
        to[++count] = k + 0
    sort_numbers(to, count)
    return count
}

END {
    n_batches = sorted_keys(batch, batches)
    n_lengths = sorted_keys(size, lengths)
    n_others = split(others, paths, " ")
    print "$speedup << END_OF_SPEEDUP"
    print "path\tbatch\tlength\tnaive_ms\tpath_ms\tratio"
    for (p = 1; p <= n_others; p++)
        for (b = 1; b <= n_batches; b++)
            for (s = 1; s <= n_lengths; s++) {
                cell = "\t" batches[b] "\t" lengths[s]
                naive = median("naive" cell)
                other = median(paths[p] cell)
                ratio = naive != "NaN" && other != "NaN" ? naive / other : "NaN"
                missing += ratio == "NaN"
                best = ratio != "NaN" && ratio > best ? ratio : best
                print paths[p] "\t" b "\t" s "\t" naive "\t" other "\t" ratio
            }
    print "END_OF_SPEEDUP"
    for (b = 1; b <= n_batches; b++)
        list = list " " batches[b]
    print "batches = \"" list "\""
    list = ""
    for (s = 1; s <= n_lengths; s++)
        list = list " " lengths[s]
    print "lengths = \"" list "\""
    print "others = \"" others "\""
    print "best_speedup = " best + 0
    print "missing = " missing + 0
}
