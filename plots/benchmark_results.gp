# Four panels against batch size: TTFT, TTPT, decode throughput and KV memory of every path.
call "theme.gp" 900 720 ARG1 ARG2 ARG3 ARG4
load "runs.gp"

call "keys.gp" "batch"
call "medians.gp" "ttft" "batch" "column('ttft_ms')"
call "medians.gp" "ttpt" "batch" "column('ttpt_ms')"
call "medians.gp" "throughput" "batch" "column('decode_tok_s')"
call "medians.gp" "kv_memory" "batch" "column('kv_live_bytes') / 2.0 ** 20"
load "log2_axis.gp"

set label 1 "With and without a KV cache: ".model at screen 0.03,0.965 font font("DejaVu Sans:Bold", 19) \
    textcolor rgb ink noenhanced
set label 2 setting."; ".workload at screen 0.03,0.93 textcolor rgb faint noenhanced
set label 3 footnote(0) at screen 0.03,0.022 textcolor rgb faint noenhanced
call "legend.gp" 0.03 0.893

set multiplot layout 2,2 margins screen 0.065,0.98,0.125,0.825 spacing screen 0.08,0.115
call "panel.gp" "ttft" "Time to first token (TTFT)" "ms" "auto"
unset label
unset arrow
call "panel.gp" "ttpt" "Time per token (TTPT)" "ms" "auto"
set xlabel "Batch size" offset 0,0.4 textcolor rgb ink
call "panel.gp" "throughput" "Decode throughput" "tokens/s" "auto"
call "panel.gp" "kv_memory" "Peak KV memory" "MiB" "linear"
unset multiplot
