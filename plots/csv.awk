# Reading CSV as RFC 4180 means it; awk does not.

# Splits an RFC 4180 record without line breaks into field[1..], and returns their number, or 0 when a quote stays open.
function split_record(record, field,    n, value, at)
{
    if (!index(record, "\""))
        return split(record, field, ",")
    for (n = 1;; n++) {
        value = ""
        if (substr(record, 1, 1) == "\"") {
            record = substr(record, 2)
            while ((at = index(record, "\"")) && substr(record, at + 1, 1) == "\"") {
                value = value substr(record, 1, at)
                record = substr(record, at + 2)
            }
            if (!at)
                return 0
            value = value substr(record, 1, at - 1)
            record = substr(record, at + 1)
        }
        at = index(record ",", ",")
        field[n] = value substr(record, 1, at - 1)
        if (at > length(record))
            return n
        record = substr(record, at + 1)
    }
}

function shown(value)
{
    gsub(/[[:cntrl:]]/, "?", value)
    return "\"" (length(value) > 40 ? substr(value, 1, 40) "..." : value) "\""
}
