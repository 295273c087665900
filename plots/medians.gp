# call "medians.gp" NAME KEY VALUE
# Fills the datablock $NAME: a row for each path and number of the column KEY that is in `keys`, with the median, the
# smallest, the largest and the count of the expression VALUE over the rows that are drawn. A group without a value
# has no row. To be called before any axis is logarithmic, which `stats` does not allow.
set print $@ARG1
print "path\tkey\tmedian\tlow\thigh"
do for [path in paths] {
    do for [key in keys] {
        stats rows using (drawn(0) && strcol("path") eq path && column(ARG2) == key ? @ARG3 : NaN) \
            name "GROUP" nooutput
        if (exists("GROUP_records")) {
            print sprintf("%s\t%s\t%.10g\t%.10g\t%.10g", path, key, GROUP_median, GROUP_min, GROUP_max)
            fewest = GROUP_records < fewest ? GROUP_records : fewest
            most = GROUP_records > most ? GROUP_records : most
        }
    }
}
unset print
