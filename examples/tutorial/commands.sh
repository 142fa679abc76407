seq -f 'paper-%02.0f' 1 40 > papers.txt
leftoff each --run words -a papers.txt -j 4 -- sh -c 'echo "$1" >> requests.log; sleep 0.05; echo "$1 has four words"' sh {}
