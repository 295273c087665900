# What a cache costs and what it saves: time per token and KV memory over the sequence, on two axes.
call "theme.gp" 900 520 ARG1 ARG2 ARG3 ARG4 ARG5
load "runs.gp"

call "group.gp" "tokens" "tokens.csv" "path,context_tokens" "latency_ns" 1000000
if (tokens_groups == 0) { exit status 3 }
call "group.gp" "cache" "runs.csv" "path,context_tokens" "kv_live_bytes" 1048576

title = "Time per token and KV memory over the sequence: ".model
subtitle = setting."; ".workload.", batch ".batch
footnote = "Time: median of the repetitions (".repetitions(0)."), without the first token.".left_out(0) \
    ."\nKV memory: the keys and values in use, as many bytes for every token."
call "title.gp" title subtitle footnote

# MiB a token of every path, 0 when it keeps nothing.
array kept[words(paths)]
do for [i = 1:words(paths)] {
    kept[i] = 0
    stats $cache using (strcol("path") eq word(paths, i) ? \
        (kept[i] = column("median") / column("context_tokens")) : NaN) nooutput
    legend_style = line_style(i)
    legend_text = "time, ".word(paths, i)
    if (has_path(word(paths, i))) { call "legend_entry.gp" legend_style legend_text }
}
do for [i = 1:words(paths)] {
    legend_text = "KV memory, ".word(paths, i)
    if (kept[i] > 0) { call "legend_entry.gp" memory_style legend_text }
}

call "frame.gp" 0.075 0.93
set border 11
set xlabel "Tokens in the sequence" offset 0,0.2 textcolor rgb ink
last = word(tokens_keys, words(tokens_keys)) + 0
set xrange [0:last * 1.02]
call "axis.gp" "y" tokens_low tokens_high "auto"
call "panel_title.gp" "Time per token" "ms"
most_memory = number(cache_high) > 0 ? cache_high + 0 : 1
set label 102 "{/:Bold KV memory}  MiB" at graph 1,graph 1 \
    offset screen -72.0 / width,screen 17.0 / height textcolor rgb ink
set y2range [0:most_memory * 1.06]
set y2tics tick_step(most_memory)

key = "context_tokens"
of(i) = strcol("path") eq word(paths, i) ? column(key) : NaN
step_of_path(i) = column(key) > prompt_tokens + 0 ? of(i) : NaN
points_every = words(tokens_keys) / 16 + 1
plot for [i = 1:words(paths)] $tokens using (kept[i] > 0 ? of(i) : NaN):(column(key) * kept[i]) axes x1y2 \
    with filledcurves y=0 ls memory_style fs transparent solid 0.12 noborder, \
    for [i = 1:words(paths)] $tokens using (kept[i] > 0 ? of(i) : NaN):(column(key) * kept[i]) axes x1y2 \
    with linespoints ls memory_style lw 1.2 pi points_every, \
    for [i = 1:words(paths)] $tokens using (step_of_path(i)):"median" \
    with linespoints ls line_style(i) lw 1.2 pi points_every
