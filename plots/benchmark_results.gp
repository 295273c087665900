# Four panels against batch size: TTFT, TTPT, decode throughput and KV memory of every path.
call "theme.gp" 900 720 ARG1 ARG2 ARG3 ARG4 ARG5
load "runs.gp"

call "group.gp" "ttft" "runs.csv" "path,batch" "ttft_ms" 1
call "group.gp" "ttpt" "runs.csv" "path,batch" "ttpt_ms" 1
call "group.gp" "throughput" "runs.csv" "path,batch" "decode_tok_s" 1
call "group.gp" "kv_memory" "runs.csv" "path,batch" "kv_live_bytes" 1048576
if (ttft_groups + ttpt_groups + throughput_groups + kv_memory_groups == 0) { exit status 3 }
call "group.gp" "batches" "runs.csv" "path,batch" "batch" 1
call "log2_axis.gp" batches_keys 0.06

title = "With and without a KV cache: ".model
subtitle = setting."; ".workload
footnote = medians_note(0).left_out(0)
call "title.gp" title subtitle footnote
load "legend.gp"

set multiplot layout 2,2 margins screen 0.065,0.98,0.125,0.825 spacing screen 0.08,0.115
call "panel.gp" "ttft" "batch" "Time to first token (TTFT)" "ms" "auto"
unset label
unset arrow
call "panel.gp" "ttpt" "batch" "Time per token (TTPT)" "ms" "auto"
set xlabel "Batch size" offset 0,0.4 textcolor rgb ink
call "panel.gp" "throughput" "batch" "Decode throughput" "tokens/s" "auto"
call "panel.gp" "kv_memory" "batch" "Peak KV memory" "MiB" "linear"
unset multiplot
