# call "log2_axis.gp" KEYS APART
# A logarithmic x axis with ticks at the numbers KEYS; one that is closer to the last label than APART, as a share of
# the axis, is a minor tick.
first_key = word(ARG1, 1) + 0
last_key = word(ARG1, words(ARG1)) + 0
ratio = last_key > first_key ? 1.0 * last_key / first_key : 2.0
set logscale x 2
set xrange [first_key / ratio ** 0.05:last_key * ratio ** 0.05]
set xtics ()
labelled = 0
do for [key in ARG1] {
    if (key > labelled * ratio ** ARG2) {
        set xtics add (key key + 0)
        labelled = key + 0
    } else {
        set xtics add ("" key + 0 1)
    }
}
