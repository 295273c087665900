# Repetitions of one thing to one row.
#
#   awk -v name=NAME -v by=COLUMN,... -v value=COLUMN -v unit=DIVISOR -f sort.awk -f group.awk FILE
#
# Writes gnuplot commands: the datablock $NAME, a row for each group of equal columns `by`, in their order, with n,
# mean, median, low and high of value / unit; NAME_groups, the number of groups; NAME_low and NAME_high over all of
# them, or nothing; NAME_keys, the different numbers of the last column of `by`; `fewest` and `most`, the n of the
# smallest and the largest group so far. A row without the value, or without a number to group by, is in no group.

BEGIN {
    split("path kernel shape gemm isa", names, " ")
    for (i in names)
        text[names[i]]
    FS = OFS = "\t"
    CONVFMT = "%.10g"
}

NR == 1 {
    for (i = 1; i <= NF; i++)
        column[$i] = i
    n_by = split(by, by_columns, ",")
    next
}

$column[value] != "" {
    group = ""
    for (i = 1; i <= n_by; i++) {
        if ($column[by_columns[i]] == "" && !(by_columns[i] in text))
            next
        group = group $column[by_columns[i]] OFS
    }
    key[$column[by_columns[n_by]] + 0]
    if (!(group in n))
        groups++
    values[group, ++n[group]] = $column[value] / unit
}

function print_group(group, command,    i, sum)
{
    for (i = 1; i <= n[group]; i++)
        sum += sample[i] = values[group, i]
    sort_numbers(sample, n[group])
    printf "%s%d\t%.10g\t%.10g\t%.10g\t%.10g\n", group, n[group], sum / n[group], quantile(sample, n[group], 0.5),
        sample[1], sample[n[group]] | command
    low = low == "" || sample[1] < low ? sample[1] : low
    high = high == "" || sample[n[group]] > high ? sample[n[group]] : high
    fewest = fewest == "" || n[group] < fewest ? n[group] : fewest
    most = n[group] > most ? n[group] : most
}

END {
    print "$" name " << END_OF_GROUPS"
    gsub(",", OFS, by)
    print by, "n", "mean", "median", "low", "high"
    fflush()
    command = "sort -t '\t'"
    for (i = 1; i <= n_by; i++)
        command = command " -k " i "," i (by_columns[i] in text ? "" : "g")
    for (group in n)
        print_group(group, command)
    close(command)
    print "END_OF_GROUPS"

    for (k in key)
        keys[++n_keys] = k + 0
    sort_numbers(keys, n_keys)
    for (i = 1; i <= n_keys; i++)
        list = list " " keys[i]
    printf "%s_keys = \"%s\"\n%s_groups = %d\n", name, list, name, groups
    printf "%s_low = \"%s\"\n%s_high = \"%s\"\n", name, low, name, high
    if (groups) {
        printf "fewest = exists(\"fewest\") && fewest < %d ? fewest : %d\n", fewest, fewest
        printf "most = exists(\"most\") && most > %d ? most : %d\n", most, most
    }
}
