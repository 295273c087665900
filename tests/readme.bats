# README.md says what the reference run says: its tables are written by a script, never by hand.

@test "the tables are those of the reference run" {
    load helpers
    ends 0 "$project/plots/readme_table.py" --check
}
