# The command line: help, mistakes, models that cannot be read, the environment, and the restart for OpenBLAS.

setup() {
    load helpers
    of_program
}

# mistakes: a line each of stdin is COMMAND LINE|PART, quoted as for a shell; exit status 2 and one line with PART.
mistakes() {
    local line arguments part n=0
    while IFS= read -r line; do
        part=${line##*|}
        eval "arguments=(${line%|*})"
        refuses 2 "$part" "$program" "${arguments[@]}"
        n=$((n + 1))
    done
    is "$n mistakes" "$1 mistakes"
    holds 0
}

generate_a_little() {
    "$program" generate --model "$tiny" --tokens 1,2 -n 3 "$@"
}

# ---- Help

@test "every command has its help, and so has the program" {
    ends 0 "$program" --help
    help=$out
    for request in '' help -h; do
        ends 0 "$program" ${request:+"$request"}
        is "$out" "$help"
        is "$err" ''
    done
    commands=$(sed -n 's/^  \([a-z]*\) .*/\1/p' <<<"$help")
    for command in bench compare race dashboard evaluate generate logits tokenize train report info limits; do
        has "$commands" "$command"
    done
    for command in $commands; do
        for request in --help -h; do
            ends 0 "$program" "$command" "$request"
            [[ $out == "Usage: kvbench $command "* ]]
            counts 1 '-h, --help' "$out"
            is "$err" ''
        done
    done
    holds 0
}

@test "the version" {
    ends 0 "$program" --version
    [[ $out =~ ^kvbench\ [0-9.]+\ ?[^$'\n']*$ ]]
}

@test "a CPU mask lowers the number of threads, and more threads than cores change nothing" {
    ends 0 taskset -c "$(taskset -cp $$ | sed 's/.*: //; s/[,-].*//')" "$program" info
    has "$out" 'this process may use 1 of ' 'threads      1 unless'
    ends 0 generate_a_little --threads 1
    alone=$out
    ends 0 generate_a_little --threads $((4 * $(nproc) + 1))
    is "$out" "$alone"
}

@test "info knows all that can be chosen" {
    ends 0 "$program" generate --help
    choices=$(sed -n '/^ *--\(path\|gemm\|isa\) /s/.*: //p; s/.*--model MODEL *\([^,]*, [^,]*, [^,]*, [^,]*\),.*/\1/p' <<<"$out")
    has "$choices" cached naive packed openblas portable avx512 gpt2-xl
    ends 0 "$program" info
    is "$err" ''
    [[ ! -r /proc/self/smaps || ! -r /sys/kernel/mm/transparent_hugepage/enabled ]] ||
        has "$out" $'\nhuge pages   ' ' of a block of 64 MiB '
    for choice in ${choices//,/}; do
        [[ $choice == both || $out =~ (^|$'\n')([a-z]+)?\ +$choice\ +[0-9A-Za-z] ]] || complain "info lacks $choice"
    done
}

# ---- Mistakes

@test "mistakes are told in one line before anything is made" {
    mistakes 20 <<'END'
frobnicate|'frobnicate' is not a command
''|'' is not a command
--frobnicate|'--frobnicate' is not a command
generate --frobnicate|unknown option '--frobnicate'
generate -Z|unknown option '-Z'
generate -Zn|unknown option '-Z'
generate --ids=3|'--ids=3'
generate more|unexpected argument 'more'
generate --ids -- --new|unexpected argument '--new'
generate --tokens|a value is missing after '--tokens'
generate -n|a value is missing after '-n'
logits --tokens 1,2|--out FILE is needed
logits --out logits.safetensors|--tokens IDS is needed
bench --frobnicate|unknown option '--frobnicate'
bench --batch|a value is missing after '--batch'
bench --benchmark_frobnicate=1|--benchmark_frobnicate=1
bench --benchmark_out=a.csv --benchmark_out_format=csv|--benchmark_out_format=csv
info more|unexpected argument 'more'
info --frobnicate|unknown option '--frobnicate'
limits more|unexpected argument 'more'
END
}

# COMMAND OPTION VALUE..., quoted as for a shell.
@test "bad values are told with their option and quoted" {
    n=0
    while IFS= read -r line; do
        eval "words=($line)"
        for value in "${words[@]:2}"; do
            refuses 2 "'$value'" "$program" "${words[0]}" "--${words[1]}" "$value"
            has "$err" "kvbench ${words[0]}: --${words[1]}: "
            n=$((n + 1))
        done
    done <<'END'
generate new -1 many 1.5 3x ' 5' +5 '5 ' 0x5 5e0 '' 1073741824 99999999999999999999
generate chunk 0 -1 all 2147483648
generate threads 0 -1 257 two ''
generate temperature 0x1 ' 1' +1 .5 5. 1e 1e999 inf nan -0 1_0 1,5 ''
generate seed -1 1.0 x ' 1' +1 '' 18446744073709551616
generate tokens '' 1,,2 +1 ' 1' 0x1 1, '1,2;3' ';1' '1;' '1 2' -1 1.5 x 2147483648
generate path fast '' Cached naive,cached
generate overflow wrap ''
generate gemm cublas ''
generate isa sse9 ''
logits tokens '1,2;3' '1,2;3,4;5'
logits chunk 0 x
bench batch '' ' 4' +4 1,+2 0 -1 1,,2 4-1 '1-8*1' 1-8+0 1- x 2147483648
bench reps 0 -1 x ''
bench new 0 -1 x ''
bench prompt 0 -1 x ''
bench suite everything ''
bench path fast '' naive, ,naive naive,naive 'naive;cached'
bench precision x +2% ' 2%' 0x2% 2%% 1
bench time x +90 ' 90' 0x10 90ss
compare threshold +5% ' 5%' 0x5% .5 5
compare fail-above x +5%
limits threads 0 x
limits isa sse9
END
    is $n 123
    holds 0
}

# ---- Models

# model_refused STATUS PART MODEL: by every command that needs one, and nothing is left behind.
model_refused() {
    local before
    before=$(ls -A)
    refuses "$1" "$2" "$program" generate --model "$3" --tokens 1,2
    refuses "$1" "$2" "$program" logits --model "$3" --tokens 1,2 --out logits.safetensors
    refuses "$1" "$2" "$program" bench --model "$3" --out run
    is "$(ls -A)" "$before"
}

@test "a model that is nowhere" {
    model_refused 2 "'gtp2' is neither a folder nor one of gpt2" gtp2
    model_refused 2 "'' is neither" ''
    model_refused 2 "'no such/folder' is neither" 'no such/folder'
}

@test "a model that is spoilt" {
    mkdir model
    model_refused 1 config.json model
    echo '{"n_layer": 2,' >model/config.json
    model_refused 1 config.json model
    ln -sf "$tiny/config.json" model
    model_refused 1 model.safetensors model
    echo no safetensors file at all >model/model.safetensors
    model_refused 1 model.safetensors model
    : >model/model.safetensors
    model_refused 1 model.safetensors model
    head -c -1 "$tiny/model.safetensors" >model/model.safetensors
    model_refused 1 model.safetensors model
    cp "$tiny/model.safetensors" model
    ends 0 "$program" generate --model model --tokens 1,2 -n 1
}

@test "a checkpoint that was fetched goes before synthetic weights" {
    ends 0 generate_a_little
    expected=$out
    mkdir "$KVBENCH_MODELS"
    ln -s "$tiny" "$KVBENCH_MODELS/gpt2"
    ends 0 "$program" generate --model gpt2 --tokens 1,2 -n 3
    is "$out" "$expected"
    lacks "$err" synthetic
    ends 0 "$program" generate --model gpt2 --tokens 1,2 -n 3 --synthetic --seed 7
    counts 1 'synthetic weights, seed 7' "$err"
    [[ $out == 1,2,* && $out != "$expected" ]]
}

# ---- Environment

@test "KVBENCH_ISA chooses the instruction set, unless an option does" {
    ends 0 generate_a_little
    expected=$out
    for isa in portable: avx2:avx2 avx512:avx512bw; do
        export KVBENCH_ISA=${isa%:*}
        if [[ -z ${isa#*:} ]] || grep -qw "${isa#*:}" /proc/cpuinfo; then
            ends 0 generate_a_little
            is "$out" "$expected"
        else
            refuses 2 "${isa%:*}" generate_a_little
        fi
    done
    export KVBENCH_ISA=nonsense
    refuses 2 "'nonsense'" generate_a_little
    refuses 2 "'nonsense'" "$program" limits
    ends 0 generate_a_little --isa portable
    is "$out" "$expected"
    KVBENCH_ISA='' ends 0 generate_a_little
}

full() {
    "$program" "$@" >/dev/full
}

@test "a stdout that is full fails the command" {
    while read -r line; do
        ends 1 full $line
        counts 1 ': stdout cannot be written: No space left on device' "$err"
    done <<END
--help
--version
generate --help
info
generate --model $tiny --tokens 1,2 -n 3
bench --suite batch --batch 1 --benchmark_list_tests
bench --model $tiny --suite batch --batch 1 --new 2 --reps 1
END
}

# ---- OpenBLAS that mistakes the CPU

# What the program should start over with after OpenBLAS said "Prescott"; none where this CPU has nothing better.
preload_fake() {
    better=
    ! grep -qw avx2 /proc/cpuinfo || better=Haswell
    ! grep -qw avx512bw /proc/cpuinfo || better=SkylakeX
}

# mistaken COMMAND...: sanitizers want to be loaded first.
mistaken() {
    env -u OPENBLAS_CORETYPE "${core[@]}" LD_PRELOAD="$KV_FAKE_OPENBLAS" \
        ASAN_OPTIONS="${ASAN_OPTIONS-}:verify_asan_link_order=0" "$program" "$@"
}

# Once, in one line that names both.
started_over() {
    [[ -n $better ]] || return 0
    counts 1 'started over' "$err"
    [[ $err == "kvbench: OpenBLAS took this CPU for Prescott; started over with OPENBLAS_CORETYPE=$better "* ]]
}

@test "the program starts over with better kernels, and nothing else changes" {
    preload_fake
    ends 0 generate_a_little
    expected=$out
    ends 0 mistaken generate --model "$tiny" --tokens 1,2 -n 3
    is "$out" "$expected"
    started_over
    ends 0 mistaken info
    started_over
    counts 1 "${better:-Prescott} kernels" "$out"
    lacks "$out" 'better here'
}

@test "the restart keeps status and arguments" {
    preload_fake
    ends 2 mistaken generate --model "a name; 'with' \$much \\in *it"
    started_over
    counts 1 "'a name; 'with' \$much \\in *it' is neither a folder" "$err"
    ends 2 mistaken generate --model ''
    counts 1 "'' is neither a folder" "$err"
    ends 1 mistaken generate --model "$tiny" --tokens 97 -n 1
    started_over
}

@test "no restart for help, nor against a person's own choice" {
    preload_fake
    ends 0 mistaken generate --help
    is "$err" ''
    core=(OPENBLAS_CORETYPE=Prescott)
    ends 0 mistaken info
    is "$err" ''
    counts 1 'Prescott kernels' "$out"
    [[ -z $better ]] || counts 1 'better here: OPENBLAS_CORETYPE=' "$out"
}

@test "links are followed, and what is no regular file is written to as it is" {
    model="$project/data/reference/tiny-f32"
    mkfifo pipe
    cat pipe >through_pipe &
    ends 0 "$program" logits --model "$model" --tokens 1,2,3 -o pipe
    wait $!
    [[ -p pipe ]]
    ln -s target link
    ends 0 "$program" logits --model "$model" --tokens 1,2,3 -o link
    [[ -L link && -f target ]]
    cmp target through_pipe
    ends 0 "$program" logits --model "$model" --tokens 1,2,3 -o link
    [[ -L link ]]
    ln -s round about
    ln -s about round
    refuses 1 'about: cannot be written' "$program" logits --model "$model" --tokens 1,2,3 -o about
}

@test "a pipe in place of a model's file is refused, not waited for" {
    for file in config.json model.safetensors; do
        rm -rf model
        cp -r "$project/data/reference/tiny-f32" model
        chmod -R u+w model
        rm model/$file
        mkfifo model/$file
        refuses 1 "model/$file: not a regular file" timeout 20 "$program" logits --model ./model --tokens 1 -o out
    done
}

@test "a command that is nearly one" {
    refuses 2 'did you mean generate?' "$program" genrate
    refuses 2 'did you mean bench?' "$program" bnech
    refuses 2 'see kvbench --help' "$program" nothing
    lacks "$err" 'did you mean'
}

@test "compare takes metrics as they are called, and reads kernels where they alone are told apart" {
    reference=$project/data/results/reference
    for pair in TTFT=ttft_ms tpot=ttpt_ms decode=decode_tok_s; do
        ends 0 "$program" compare "$reference" --by path --metric "${pair%=*}" --format csv
        is "$(sed '1d; /^,/d; /^$/d' <<<"$out" | cut -d , -f 1 | sort -u)" "${pair#*=}"
    done
    ends 0 "$program" compare "$reference" --by gemm --format csv
    is "$(sed '1d; /^,/d; /^$/d' <<<"$out" | cut -d , -f 1 | sort -u)" gflops
    ends 2 "$program" compare "$reference" --by path --metric TTFT,ttft_ms
    has "$err" 'an unknown or repeated name; choose from'
}
