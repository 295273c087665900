# What a cache costs and what it saves: time per token and KV memory over the sequence, on two axes.
load ARG1."/settings"
call "theme.gp" 900 520 ARG1 ARG2 ARG3

title = "Time per token and KV memory over the sequence: ".model
subtitle = setting."; ".workload.", batch ".batch
footnote = "Time: median of the repetitions (".repetitions(0)."), without the first token.".left_out(0) \
    ."\nKV memory: the keys and values in use, as many bytes for every token."
call "title.gp" title subtitle footnote

# kept: MiB a token of every arm, 0 when it keeps nothing. Of arms that keep alike one is drawn.
call "legend.gp" "time, "
n_keeping = 0
array alike[n_arms]
do for [i = 1:n_arms] {
    alike[i] = kept[i] > 0
    do for [k = 1:n_arms] {
        if (k != i && alike[i] > 0 && kept[k] == kept[i]) { alike[i] = k < i ? 0 : alike[i] + 1 }
    }
    n_keeping = n_keeping + (alike[i] > 0)
}
do for [i = 1:n_arms] {
    legend_text = "KV memory, ".arm[i].(alike[i] > 1 ? sprintf(" and %d more", alike[i] - 1) : "")
    if (alike[i] > 0) {
        set style line memory_line(i) lc rgb memory_colour(i, "#984ea3") lw 1.8 dt solid pt 11 ps 0.9
        legend_style = memory_line(i)
        call "legend_entry.gp" legend_style legend_text
    }
}

call "frame.gp" 0.075 0.93
set border 11
set xlabel "Tokens in the sequence" offset 0,0.2 textcolor rgb ink
stats table("tokens") using "context_tokens" name "CONTEXT" nooutput
set xrange [0:CONTEXT_max * 1.02]
call "axis.gp" "y" tokens_low tokens_high "auto"
call "panel_title.gp" "Time per token" "ms"
most_memory = number(cache_high) > 0 ? cache_high + 0 : 1
set label 102 "{/:Bold KV memory}  MiB" at graph 1,graph 1 \
    offset screen -72.0 / width,screen 17.0 / height textcolor rgb ink
set y2range [0:most_memory * 1.06]
set y2tics tick_step(most_memory)

context(i) = of(i) ? column("context_tokens") : NaN
keeping(i) = alike[i] > 0 ? context(i) : NaN
step(i) = column("token") > 1 ? context(i) : NaN
points_every = int(n_tokens) / 16 + 1
plot for [i = 1:n_arms] table("tokens") using (keeping(i)):(column("context_tokens") * kept[i]) axes x1y2 \
    with filledcurves y=0 ls memory_line(i) fs transparent solid 0.12 noborder, \
    for [i = 1:n_arms] table("tokens") using (keeping(i)):(column("context_tokens") * kept[i]) axes x1y2 \
    with linespoints ls memory_line(i) lw 1.2 pi points_every, \
    for [i = 1:n_arms] table("tokens") using (step(i)):"median" with linespoints ls style_of(i) lw 1.2 pi points_every
