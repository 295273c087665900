# call "keys.gp" COLUMN
# Sets `keys` to the distinct numbers above 0 in COLUMN of the rows that are drawn, in rising order.
keys = ""
last = 0
while (1) {
    stats rows using (drawn(0) && column(ARG1) > last ? column(ARG1) : NaN) name "KEYS" nooutput
    if (!exists("KEYS_records")) { break }
    last = KEYS_min
    keys = keys.sprintf(" %.10g", last)
}
