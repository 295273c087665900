# Checks a CSV file of a run as a whole and copies the rows a figure can use.
#
#   awk -v csv=NAME -v suite=SUITE -v needs=COLUMN,... -v same=COLUMN,... -v rows=OUTPUT -f csv.awk -f select.awk FILE
#
# OUTPUT gets the header and the rows of SUITE (all, when the file has no such column) whose status is ok and whose
# columns `same` are those of the first such row: a median over two configurations would describe neither. It is
# separated by tabs and without quotes, because gnuplot does not read quotes the way RFC 4180 means them. Standard
# output gets how many rows were copied, how many were left out for their status, and how many for their configuration.
# Every column but the ones in `text` holds a number or nothing. The first thing that is wrong is one line on standard
# output, and exit status 1.

BEGIN {
    split("run_id cell suite path model weights weights_source cache kv gate gemm isa status error kernel shape moment", names, " ")
    for (i in names)
        text[names[i]] = 1
    maker = suite == "training" ? "./kvbench train" : "./kvbench bench"
    number = "^[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?$"
}

function fail(where, message)
{
    print csv where ": " message
    failed = 1
    exit 1
}

function copy(field,    i, line)
{
    for (i = 1; i <= columns; i++) {
        gsub(/[[:cntrl:]"]/, "?", field[i])
        line = line (i > 1 ? "\t" : "") field[i]
    }
    print line >rows
}

{ sub(/\r$/, "") }

NR == 1 {
    columns = split_record($0, header)
    for (i = 1; i <= columns; i++)
        column[header[i]] = i
    n = split(needs, names, ",")
    for (i = 1; i <= n; i++)
        if (!(names[i] in column))
            fail(":1", "the header has no column " names[i] "; give a folder that " maker " wrote")
    n_same = split(same, same_columns, ",")
    copy(header)
    next
}

{
    n = split_record($0, field)
    if (n != columns)
        fail(":" NR, n ? n " fields where the header has " columns : "a quoted field does not end")
    for (i = 1; i <= columns; i++)
        if (field[i] != "" && !(header[i] in text) && field[i] !~ number)
            fail(":" NR, header[i] " is " shown(field[i]) ", which is not a number")
    if ("suite" in column && field[column["suite"]] != suite)
        next
    if ("status" in column && field[column["status"]] != "ok") {
        not_ok++
        next
    }
    configuration = ""
    for (i = 1; i <= n_same; i++)
        configuration = configuration "\t" field[column[same_columns[i]]]
    if (kept && configuration != chosen) {
        others++
        next
    }
    chosen = configuration
    kept++
    copy(field)
}

END {
    if (failed)
        exit 1
    if (NR == 0)
        fail("", "the file is empty; run " maker " again")
    print kept + 0, not_ok + 0, others + 0
}
