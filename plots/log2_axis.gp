# call "log2_axis.gp"
# A logarithmic x axis with ticks at `keys`; one too close to the last label is a minor tick.
first_key = word(keys, 1) + 0
last_key = word(keys, words(keys)) + 0
ratio = last_key > first_key ? 1.0 * last_key / first_key : 2.0
set logscale x 2
set xrange [first_key / ratio ** 0.05:last_key * ratio ** 0.05]
set xtics ()
labelled = 0
do for [key in keys] {
    if (key > labelled * ratio ** 0.06) {
        set xtics add (key key + 0)
        labelled = key + 0
    } else {
        set xtics add ("" key + 0 1)
    }
}
