# The READMEs say what the reference run and the program say: their tables are written by a script, never by hand.

@test "the tables are those of the reference run" {
    load helpers
    KVBENCH_PROGRAM=$program ends 0 "$project/plots/readme_table.py" --check
}
