# kvbench evaluate: what it prints, and what it refuses. The figure itself is held against its definition in
# test_evaluation.c.

setup() {
    load helpers
    of_program
    speaker='kvbench evaluate: '
    head -c 400 "$project/data/models/kjv/validation.txt" >text
}

evaluate() {
    "$program" evaluate --text text "$@"
}

# near A B: equal to 1e-6 of B.
near() {
    awk -v a="$1" -v b="$2" 'BEGIN { exit !((a - b) ^ 2 <= (1e-6 * b) ^ 2 && b != 0) }' || complain "$1 is not near $2"
}

# Options, and the row up to its tokens and bytes.
@test "a row of CSV, and the same loss on every way through a window" {
    header=path,cache,kv,weights,chunk,context,batch,tokens,bytes,loss_nats,bits_per_byte,perplexity,seconds,tokens_per_second
    header+=,loss_nats_low,loss_nats_high,perplexity_low,perplexity_high,divergence_largest
    for figure in perplexity_change divergence_mean divergence_p99 top_agreement; do
        header+=,$figure,${figure}_low,${figure}_high
    done
    expected=
    while IFS='|' read -r options row; do
        ends 0 evaluate --csv --context 90 $options
        is "$err" ''
        is "${out%%$'\n'*}" "$header"
        [[ ${out#*$'\n'} == "$row",399,399,* ]] || complain "$out"
        IFS=, read -r _ _ _ _ _ _ _ _ _ loss bits perplexity seconds rate low high rest <<<"${out#*$'\n'}"
        near "$loss" "${expected:=$loss}"
        near "$bits" "$(awk -v loss="$loss" 'BEGIN { printf "%.12g", loss / log(2) }')" # a token is a byte
        near "$perplexity" "$(awk -v loss="$loss" 'BEGIN { printf "%.12g", exp(loss) }')"
        awk -v seconds="$seconds" -v rate="$rate" 'BEGIN { exit !(seconds >= 0 && rate > 0) }'
        awk -v low="$low" -v loss="$loss" -v high="$high" 'BEGIN { exit !(low < loss && loss < high) }'
        [[ $rest =~ ^[0-9.]+,[0-9.]+,{13}$ ]] || complain "of float32 there is no divergence: $rest"
    done <<'ROWS'
--path naive --batch 1|naive,,,f32,0,90,1
--path cached --chunk 1 --batch 3|cached,contiguous,f32,f32,1,90,3
--path cached --chunk 7 --batch 100|cached,contiguous,f32,f32,7,90,5
ROWS
}

@test "for a person" {
    ends 0 evaluate --csv
    loss=$(cut -d, -f10 <<<"${out#*$'\n'}")
    ends 0 evaluate
    has "$out" 'predicted    399 tokens, 399 bytes' "$(printf 'loss         %.6f nats a token' "$loss")"
    has "$out" 'tokens/s: path cached, context 256, batch 2'
}

# The columns from divergence_largest on.
@test "how far a cache of fewer bits is from float32, decoded or in one pass" {
    last=0
    for kv in bf16 int8 int4; do
        ends 0 evaluate --csv --kv $kv
        rest=$(cut -d, -f19- <<<"${out##*$'\n'}")
        IFS=, read -r largest _ _ _ mean low high p99 _ _ agreement _ <<<"$rest"
        awk -v last="$last" -v low="$low" -v mean="$mean" -v high="$high" -v p99="$p99" -v largest="$largest" \
            -v agreement="$agreement" 'BEGIN {
                exit !(last < mean && low < mean && mean < high && mean < p99 && p99 <= largest && agreement > 0.9) }'
        last=$mean
        ends 0 evaluate --csv --kv $kv --chunk 1
        is "$(cut -d, -f19- <<<"${out##*$'\n'}")" "$rest"
    done
    ends 0 evaluate --kv int4
    has "$out" 'nats a token from float32 (' '% as float32' 'kv int4' '95 % intervals over 20 blocks'
}

@test "bytes of tokens that have several: those of all but the first count" {
    printf 'Hello, world!' >text # 15496 11 995 0
    ends 0 evaluate --model gpt2 --synthetic --csv --context 8
    has "$out" $'\ncached,contiguous,f32,f32,0,8,1,3,8,'
}

@test "mistakes" {
    : >empty
    printf a >one
    while IFS='|' read -r options status part; do
        refuses "$status" "$part" evaluate $options
    done <<'ROWS'
--context 257|2|n_positions, 256
--context 0|2|--context
--chunk 0|2|--chunk
--batch 0|2|--batch
--path hybrid|2|--path
--kv int5|2|--kv
--text missing|1|missing
--text .|1|cannot be read
--text empty|1|empty
--text one|1|longer
--model missing|2|missing
ROWS
    refuses 1 kvbench_tokenizer evaluate --model "$project/data/reference/tiny-f32"
    refuses 2 '--text FILE is needed' "$program" evaluate
}

@test "weights that are not numbers" {
    cp -r "$project/data/models/kjv" model
    size=$(stat -c %s model/model.safetensors)
    head -c $((size / 2)) model/model.safetensors >half
    { cat half && head -c $((size - size / 2)) /dev/zero | tr '\0' '\377'; } >model/model.safetensors
    refuses 1 'not a number' evaluate --model model
}
