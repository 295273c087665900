# call "title.gp" TITLE SUBTITLE FOOTNOTE
# The three texts of every figure, labels 1 to 3; the footnote may have two lines. The legend starts below.
set label 1 ARG1 at screen 0.03,screen 1 - 25.0 / height font font("DejaVu Sans:Bold", 19) textcolor rgb ink noenhanced
set label 2 ARG2 at screen 0.03,screen 1 - 50.0 / height textcolor rgb faint noenhanced
set label 3 ARG3 at screen 0.03,screen (strstrt(ARG3, "\n") ? 36.0 : 16.0) / height textcolor rgb faint noenhanced
legend_left = 0.03
legend_x = legend_left
legend_y = 1 - 77.0 / height
