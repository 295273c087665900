# Memory by batch and length: keys and values in use and reserved, and the whole process. A panel a batch.
call "group.gp" "batches" "runs.csv" "batch" "batch" 1
n_panels = words(batches_keys)
n_columns = n_panels < 3 ? n_panels : 3
n_rows = (n_panels + n_columns - 1) / n_columns
height_of_rows = 212 + 250 * n_rows
call "theme.gp" 900 height_of_rows ARG1 ARG2 ARG3 ARG4 ARG5
load "runs.gp"
undefine fewest most

call "group.gp" "live" "runs.csv" "path,batch,context_tokens" "kv_live_bytes" 1048576
call "group.gp" "reserved" "runs.csv" "path,batch,context_tokens" "kv_reserved_bytes" 1048576
call "group.gp" "rss" "runs.csv" "path,batch,context_tokens" "rss_peak_bytes" 1048576
call "group.gp" "lengths" "runs.csv" "path,batch,context_tokens" "batch" 1
if (live_groups + reserved_groups + rss_groups == 0) { exit status 3 }

title = "Memory by batch and length: ".model
subtitle = setting
footnote = "KV memory: keys and values in use and reserved, of the paths that keep any. RSS: peak of the whole " \
    ."process.\nPoints: ".(most == 1 ? "one repetition" : "median of the repetitions")." (".repetitions(0).")." \
    .left_out(0)
call "title.gp" title subtitle footnote
call "legend_entry.gp" memory_style "KV in use"
call "legend_entry.gp" reserved_style "KV reserved"
do for [i = 1:words(paths)] {
    legend_text = "RSS, ".word(paths, i)
    legend_style = line_style(i)
    if (has_path(word(paths, i))) { call "legend_entry.gp" legend_style legend_text }
}

# The least that is above 0: what keeps nothing is not drawn.
stats $live using (column("low") > 0 ? column("low") : NaN) name "LIVE" nooutput
lowest = exists("LIVE_min") ? sprintf("%.10g", LIVE_min) : rss_low
highest = larger(rss_high, larger(live_high, reserved_high))
call "axis.gp" "y" lowest highest "auto"
call "log2_axis.gp" lengths_keys 0.12
set multiplot layout n_rows,n_columns margins screen 0.065,0.98,112.0 / height,1 - 124.0 / height \
    spacing screen 0.06,screen 75.0 / height
do for [panel = 1:n_panels] {
    batch = word(batches_keys, panel)
    panel_name = "Batch ".batch
    call "panel_title.gp" panel_name "MiB"
    set xlabel (panel > n_panels - n_columns ? "Tokens in the sequence" : "") offset 0,0.2 textcolor rgb ink
    key = "context_tokens"
    of_path(i) = strcol("path") eq word(paths, i) && column("batch") == batch ? column(key) : NaN
    kept(x) = column("batch") == batch && column("median") > 0 ? column(key) : NaN
    plot $reserved using (kept(0)):"median" with linespoints ls reserved_style, \
        $live using (kept(0)):"median" with linespoints ls memory_style, \
        for [i = 1:words(paths)] $rss using (of_path(i)):"median" with linespoints ls line_style(i)
    unset label
    unset arrow
}
unset multiplot
