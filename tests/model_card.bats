# The embedded model, data/models/kjv: its card says what the files beside it say, and they say what both paths find.

setup() {
    load helpers
    model=$project/data/models/kjv
}

@test "the card is of the files beside it" {
    ends 0 "$project/plots/model_card.py" --check
}

# It is in every clone.
@test "the model is small" {
    [[ $(wc -c <"$model/model.safetensors") -le 2500000 ]]
}

# loss PATH FILE: what the row of that path has in the column loss_nats of a CSV file.
loss() {
    awk -F, -v path="$1" 'NR == 1 { for (i = 1; i <= NF; i++) at[$i] = i; name = at["name"] ? at["name"] : at["path"] }
        $name == path { print $at["loss_nats"] }' "$2"
}

@test "both paths find the loss that is stated, within a thousandth of a nat" {
    for path in 'naive --batch 16' 'cached --batch 128 --chunk 1'; do
        ends 0 "$program" evaluate --csv --model "$model" --text "$model/validation.txt" --path $path
        awk -v found="$(loss "${path%% *}" "$BATS_TEST_TMPDIR/out")" \
            -v stated="$(loss "${path%% *}" "$model/evaluation.csv")" 'BEGIN {
            print "found " found ", stated " stated
            exit !(stated > 0 && found >= stated - 1e-3 && found <= stated + 1e-3) }'
    done
}
