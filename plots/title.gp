# call "title.gp" TITLE SUBTITLE FOOTNOTE
# The three texts of every figure, labels 1 to 3; the footnote may have two lines, and of a run how steady the machine was
# follows in a line of its own; on phones they are broken into as many as they need. The legend starts below.
set label 1 ARG1 at screen 0.03,screen 1 - 25.0 / height font font("DejaVu Sans:Bold", 19) textcolor rgb ink noenhanced
subtitle_text = fitted(ARG2)
set label 2 subtitle_text at screen 0.03,screen 1 - 50.0 / height textcolor rgb faint noenhanced
footer_text = ARG3[strlen(ARG3):*] eq "\n" ? ARG3[1:strlen(ARG3) - 1] : ARG3
footer = fitted(footer_text.(exists("steadiness") ? "\n".steadiness : ""))
footer_lines = lines_of(footer)
set label 3 footer at screen 0.03,screen (11.0 + 18 * (footer_lines - 1)) / height textcolor rgb faint noenhanced
legend_left = 0.03
legend_x = legend_left
legend_y = 1 - (77.0 + 18 * (lines_of(subtitle_text) - 1)) / height
