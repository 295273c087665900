# Four panels against batch size: TTFT, TTPT, decode throughput and KV memory of every arm.
load ARG1."/settings"
call "theme.gp" 900 720 ARG1 ARG2 ARG3
call "log2_axis.gp" batch_keys 0.06

title = "With and without a KV cache: ".model
subtitle = setting."; ".workload
footnote = medians_note(0).left_out(0)
call "title.gp" title subtitle footnote
call "legend.gp" ""

set multiplot layout 2,2 margins screen 0.065,0.98,0.125,legend_y - 49.0 / height spacing screen 0.08,0.115
call "panel.gp" "ttft" "batch" "Time to first token (TTFT)" "ms" "auto"
unset label
unset arrow
call "panel.gp" "ttpt" "batch" "Time per token, TTPT (TPOT)" "ms" "auto"
set xlabel "Batch size" offset 0,0.4 textcolor rgb ink
call "panel.gp" "throughput" "batch" "Decode throughput" "tokens/s" "auto"
call "panel.gp" "kv_memory" "batch" "Peak KV memory" "MiB" "linear"
unset multiplot
