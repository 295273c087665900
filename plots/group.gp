# call "group.gp" NAME FILE BY VALUE UNIT
# Fills the datablock $NAME with medians, means and ranges of VALUE / UNIT in the rows of FILE, a row for each group of
# equal columns BY: see group.awk. The folder of the rows is in the environment, where the shell takes any name.
load sprintf("< awk -v name=%s -v by=%s -v value=%s -v unit=%.10g -f sort.awk -f group.awk \"$rows/%s\"", \
    ARG1, ARG3, ARG4, ARG5 + 0, ARG2)
