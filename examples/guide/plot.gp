# gnuplot plot.gp, in the folder of fit.csv and curve.txt: writes guide.png.
set terminal pngcairo size 900,360 noenhanced font "sans,10"
set output "guide.png"
set datafile separator ","
set multiplot layout 1,2
set grid
set logscale y
set xlabel "queries"
set ylabel "misfit, mg²/l²"
plot "fit.csv" using 2:3 with lines linewidth 2 notitle
unset logscale y
set datafile separator whitespace
set xlabel "hours"
set ylabel "milligrams per litre"
plot "curve.txt" using 1:2 with lines linewidth 2 title "fitted", \
     "curve.txt" using 1:3 with points pointtype 7 title "measured"
