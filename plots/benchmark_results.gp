# Four panels against batch size: TTFT, TTPT, decode throughput and KV memory of every arm. For phones ("narrow") they
# stand below each other, the time per token first.
load ARG1."/settings"
narrow = ARG3 eq "narrow"
call "theme.gp" (narrow ? 420 : 900) (narrow ? 1330 : 720) ARG1 ARG2 ARG3
call "log2_axis.gp" batch_keys 0.06

title = (narrow ? "KV cache or none: " : "With and without a KV cache: ").model
subtitle = setting.(narrow ? "\n" : "; ").workload
footnote = medians_note(0).left_out(0)
call "title.gp" title subtitle footnote
call "legend.gp" ""

bottom = narrow ? (72.0 + 18 * footer_lines) / height : 0.125
top = legend_y - 49.0 / height
if (narrow) {
    set multiplot layout 4,1 margins screen 0.13,0.95,bottom,top spacing screen 0,82.0 / height
} else {
    set multiplot layout 2,2 margins screen 0.065,0.98,bottom,top spacing screen 0.08,0.115
}
order = narrow ? "ttpt throughput kv_memory ttft" : "ttft ttpt throughput kv_memory"
do for [i = 1:4] {
    name = word(order, i)
    if (i > (narrow ? 3 : 2)) { set xlabel "Batch size" offset 0,0.4 textcolor rgb ink }
    if (name eq "ttft") { call "panel.gp" name "batch" "Time to first token (TTFT)" "ms" "auto" }
    if (name eq "ttpt") { call "panel.gp" name "batch" "Time per token, TTPT (TPOT)" "ms" "auto" }
    if (name eq "throughput") { call "panel.gp" name "batch" "Decode throughput" "tokens/s" "auto" }
    if (name eq "kv_memory") { call "panel.gp" name "batch" "Peak KV memory" "MiB" "linear" }
    unset label
    unset arrow
}
unset multiplot
