# gnuplot -e "run='FOLDER'" plot.gp: draws what curves.sh left in FOLDER.
set terminal pngcairo size 1000,420 font "sans,11"
set output run."/circuit.png"
set multiplot layout 1, 2
set grid linecolor rgb "#dddddd"
set logscale x
set xrange [20:20480]
set xtics ("20" 20, "100" 100, "1k" 1000, "10k" 10000)
set xlabel "frequency, Hz"
set style line 1 linewidth 2 linecolor rgb "#888888"
set style line 2 linewidth 2 linecolor rgb "#0060ad"
set style line 3 linewidth 1 linecolor rgb "#000000" dashtype 2

set ylabel "gain, dB"
plot run."/before.response" using 1:2 with lines linestyle 1 title "before", \
     run."/after.response" using 1:2 with lines linestyle 2 title "after", \
     run."/after.response" using 1:3 with lines linestyle 3 title "wanted"

set ylabel "gain less wanted gain, dB"
set key bottom right
plot run."/before.response" using 1:($2 - $3) with lines linestyle 1 title "before", \
     run."/after.response" using 1:($2 - $3) with lines linestyle 2 title "after"
