# The tables of the README files say what the reference run and the program say: a script writes them, nobody by hand.

@test "the tables are those of the reference run and of the columns" {
    load helpers
    KVBENCH_PROGRAM=$KV_PROGRAM ends 0 "$project/plots/readme_table.py" --check
}
