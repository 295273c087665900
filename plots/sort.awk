# Numbers in rising order, and their quantiles; awk has neither.

# Heap sort of values[1..n].
function sort_numbers(values, n,    i, t)
{
    for (i = int(n / 2); i >= 1; i--)
        sift(values, i, n)
    for (i = n; i > 1; i--) {
        t = values[1]
        values[1] = values[i]
        values[i] = t
        sift(values, 1, i - 1)
    }
}

function sift(values, i, n,    child, t)
{
    t = values[i]
    while ((child = 2 * i) <= n) {
        if (child < n && values[child + 1] > values[child])
            child++
        if (values[child] <= t)
            break
        values[i] = values[child]
        i = child
    }
    values[i] = t
}

# Type 7 of Hyndman and Fan 1996, as in the columns of runs.csv.
function quantile(sorted, n, p,    h, j)
{
    h = 1 + (n - 1) * p
    j = int(h)
    return j >= n ? sorted[n] : sorted[j] + (h - j) * (sorted[j + 1] - sorted[j])
}
